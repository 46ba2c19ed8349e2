"""The aggregations behind the reports. Each is one command that reads indexes only."""

from datetime import date, datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment, Status
from backend.directory.documents import Clinic

Row = dict[str, Any]


async def count_by_period(
    doctor_id: PydanticObjectId, *, first_day: date, last_day: date, period_length: int
) -> list[Row]:
    """Counts a doctor's appointments by status and period, sorted by period. Both days are included.

    A period is the first `period_length` characters of the clinic's day: 10 for a day, 7 for a month.
    """
    period = {"$substrBytes": ["$clinic_day", 0, period_length]}
    return await Appointment.aggregate(
        [
            {
                "$match": {
                    "doctor_id": doctor_id,
                    "clinic_day": {"$gte": first_day.isoformat(), "$lte": last_day.isoformat()},
                }
            },
            {"$group": {"_id": {"period": period, "status": "$status"}, "count": {"$sum": 1}}},
            {"$sort": {"_id.period": 1}},
        ]
    ).to_list()


async def count_everything(now: datetime) -> list[Row]:
    """Counts appointments, users by role, and clinics. `of` in a row's id says which of these it is.

    Appointments come by status (`all`), and those around now by day, zone and status (`day`).
    """
    return await Appointment.aggregate(
        [
            {"$match": {"status": {"$in": [status.value for status in Status]}}},
            {"$group": {"_id": {"of": "all", "status": "$status"}, "count": {"$sum": 1}}},
            _and_of(
                Appointment.get_pymongo_collection().name,
                # In any zone, the calendar day differs from that of UTC by at most one.
                {"clinic_day": {"$gte": _day(now, -1), "$lte": _day(now, 8)}},
                {"of": "day", "day": "$clinic_day", "zone": "$time_zone", "status": "$status"},
            ),
            _and_of(
                User.get_pymongo_collection().name,
                {"role": {"$in": [role.value for role in Role]}, "is_active": True},
                {"of": "users", "role": "$role"},
            ),
            _and_of(Clinic.get_pymongo_collection().name, {"is_active": True}, {"of": "clinics"}),
        ]
    ).to_list()


def _and_of(collection: str, match: Row, group: Row) -> dict[str, Any]:
    return {
        "$unionWith": {
            "coll": collection,
            "pipeline": [{"$match": match}, {"$group": {"_id": group, "count": {"$sum": 1}}}],
        }
    }


def _day(now: datetime, ahead: int) -> str:
    return (now.date() + timedelta(days=ahead)).isoformat()
