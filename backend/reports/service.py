"""Counting appointments: each report is one aggregation on an index."""

from datetime import date, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment, Status
from backend.core.clock import utc_now
from backend.core.http.errors import Unprocessable
from backend.directory.documents import Clinic
from backend.reports.schemas import Dashboard, DoctorStats, PeriodCounts, StatusCounts

_MOST_DAYS = 366
_MOST_MONTHS_IN_DAYS = 3660
_USUAL_DAYS = 30


class RangeTooLong(Unprocessable):
    """More periods than a page can show."""

    code = "RANGE_TOO_LONG"
    detail = "At most 366 days by day, or ten years by month."


class GroupBy(StrEnum):
    """The length of a period."""

    DAY = "day"
    MONTH = "month"


async def doctor_stats(
    doctor_id: PydanticObjectId, *, group_by: GroupBy, first_day: date | None, last_day: date | None
) -> DoctorStats:
    """A doctor's appointments by status and period, both days included, days as the clinics count them.

    Without days: the last 30 up to today and the 30 to come. Raises `RangeTooLong`.
    """
    today = utc_now().date()
    first = first_day or (last_day or today) - timedelta(days=_USUAL_DAYS)
    last = last_day or max(first, today) + timedelta(days=_USUAL_DAYS)
    if (last - first).days > (_MOST_DAYS if group_by is GroupBy.DAY else _MOST_MONTHS_IN_DAYS):
        raise RangeTooLong
    length = len("2026-11-21") if group_by is GroupBy.DAY else len("2026-11")
    period = {"$substrBytes": ["$clinic_day", 0, length]}
    rows = await Appointment.aggregate(
        [
            {
                "$match": {
                    "doctor_id": doctor_id,
                    "clinic_day": {"$gte": first.isoformat(), "$lte": last.isoformat()},
                }
            },
            {"$group": {"_id": {"period": period, "status": "$status"}, "count": {"$sum": 1}}},
            {"$sort": {"_id.period": 1}},
        ]
    ).to_list()
    periods: dict[str, PeriodCounts] = {}
    for row in rows:
        name = row["_id"]["period"]
        counts = periods.setdefault(name, PeriodCounts(period=name))
        counts.add(Status(row["_id"]["status"]), row["count"])
    return DoctorStats(doctor_id=doctor_id, first_day=first, last_day=last, items=list(periods.values()))


async def dashboard() -> Dashboard:
    """Totals, today and the next seven days, in one aggregation over the three collections."""
    now = utc_now()
    rows = await Appointment.aggregate(
        [
            {"$match": {"status": {"$in": [status.value for status in Status]}}},
            {"$group": {"_id": {"of": "all", "status": "$status"}, "count": {"$sum": 1}}},
            _joined(
                Appointment.get_pymongo_collection().name,
                # A calendar day of any zone lies within a day of UTC's.
                {"clinic_day": {"$gte": _day(now.date(), -1), "$lte": _day(now.date(), 8)}},
                {"of": "day", "day": "$clinic_day", "zone": "$time_zone", "status": "$status"},
            ),
            _joined(
                User.get_pymongo_collection().name,
                {"role": {"$in": [role.value for role in Role]}, "is_active": True},
                {"of": "users", "role": "$role"},
            ),
            _joined(Clinic.get_pymongo_collection().name, {"is_active": True}, {"of": "clinics"}),
        ]
    ).to_list()
    found: dict[str, Any] = {
        "appointments": StatusCounts(),
        "today": StatusCounts(),
        "next_7_days": StatusCounts(),
    }
    people: dict[str, int] = {}
    clinics = 0
    for row in rows:
        key, count = row["_id"], row["count"]
        match key["of"]:
            case "all":
                found["appointments"].add(Status(key["status"]), count)
            case "day":
                ahead = (date.fromisoformat(key["day"]) - now.astimezone(ZoneInfo(key["zone"])).date()).days
                if ahead == 0:
                    found["today"].add(Status(key["status"]), count)
                elif 1 <= ahead <= 7:
                    found["next_7_days"].add(Status(key["status"]), count)
            case "users":
                people[key["role"]] = count
            case "clinics":
                clinics = count
    return Dashboard(
        patients=people.get(Role.PATIENT, 0),
        doctors=people.get(Role.DOCTOR, 0),
        nurses=people.get(Role.NURSE, 0),
        clinics=clinics,
        at=now,
        **found,
    )


def _joined(collection: str, match: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    return {
        "$unionWith": {
            "coll": collection,
            "pipeline": [{"$match": match}, {"$group": {"_id": group, "count": {"$sum": 1}}}],
        }
    }


def _day(day: date, ahead: int) -> str:
    return (day + timedelta(days=ahead)).isoformat()
