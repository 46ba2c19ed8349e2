"""The aggregations behind the reports. Each is one command that reads indexes only."""

from datetime import date, datetime, timedelta
from typing import Any

from beanie import Document, PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment, Status
from backend.directory.documents import Clinic
from backend.patients.documents import Patient

Row = dict[str, Any]


async def count_by_period(
    doctor_id: PydanticObjectId, first_day: date, last_day: date, *, period_length: int
) -> list[Row]:
    """Counts a doctor's appointments by status and period, sorted by period. Both days are included.

    A period is the first `period_length` characters of the clinic's day: 10 for a day, 7 for a month.
    """
    period = {"$substrBytes": ["$clinic_day", 0, period_length]}
    days = {"$gte": first_day.isoformat(), "$lte": last_day.isoformat()}
    return await Appointment.aggregate(
        [
            {"$match": {"doctor_id": doctor_id, "clinic_day": days}},
            {"$group": {"_id": {"period": period, "status": "$status"}, "count": {"$sum": 1}}},
            {"$sort": {"_id.period": 1}},
        ]
    ).to_list()


async def count_everything(now: datetime) -> list[Row]:
    """Counts appointments, staff by role, patients and clinics. `of` in a row's id says which of these it is.

    Appointments come by status (`all`), and those around now by day, zone and status (`day`).
    """
    return await Appointment.aggregate(
        [
            {"$match": {"status": {"$in": list(Status)}}},
            {"$group": {"_id": {"of": "all", "status": "$status"}, "count": {"$sum": 1}}},
            _and_of(
                Appointment,
                # In any zone, the calendar day differs from that of UTC by at most one.
                {"clinic_day": {"$gte": _day(now, -1), "$lte": _day(now, 8)}},
                {"of": "day", "day": "$clinic_day", "zone": "$time_zone", "status": "$status"},
            ),
            _and_of(
                User,
                {"role": {"$in": [Role.DOCTOR, Role.NURSE]}, "is_active": True},
                {"of": "users", "role": "$role"},
            ),
            _and_of(Patient, {"is_active": True}, {"of": "patients"}),
            _and_of(Clinic, {"is_active": True}, {"of": "clinics"}),
        ]
    ).to_list()


def _and_of(document: type[Document], match: Row, group: Row) -> Row:
    pipeline = [{"$match": match}, {"$group": {"_id": group, "count": {"$sum": 1}}}]
    return {"$unionWith": {"coll": document.get_pymongo_collection().name, "pipeline": pipeline}}


def _day(now: datetime, ahead: int) -> str:
    return (now.date() + timedelta(days=ahead)).isoformat()
