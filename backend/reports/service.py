"""The admin dashboard and the doctor statistics."""

from datetime import date, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId

from backend.accounts.documents import Role
from backend.core.clock import utc_now
from backend.core.http.errors import Unprocessable
from backend.reports import repository
from backend.reports.schemas import Dashboard, DoctorStats, PeriodCounts, StatusCounts

_DEFAULT = timedelta(days=30)


class RangeTooLong(Unprocessable):
    """The range holds more periods than one response returns."""

    code = "RANGE_TOO_LONG"
    detail = "The range is too long. Ask for at most 366 days by day, or ten years by month."


class GroupBy(StrEnum):
    """The length of a period."""

    DAY = "day"
    MONTH = "month"


async def doctor_stats(
    doctor_id: PydanticObjectId, *, group_by: GroupBy, first_day: date | None, last_day: date | None
) -> DoctorStats:
    """Counts a doctor's appointments by status and period. Both days are included, in the clinic's zone.

    Without days it counts the last 30 days, today and the next 30. Raises `RangeTooLong`.
    """
    today = utc_now().date()
    first = first_day or (last_day or today) - _DEFAULT
    last = last_day or max(first, today) + _DEFAULT
    most_days, length = (366, len("2026-11-21")) if group_by is GroupBy.DAY else (3660, len("2026-11"))
    if (last - first).days > most_days:
        raise RangeTooLong
    rows = await repository.count_by_period(doctor_id, first, last, period_length=length)
    periods: dict[str, PeriodCounts] = {}
    for row in rows:
        name = row["_id"]["period"]
        periods.setdefault(name, PeriodCounts(period=name)).add(row["_id"]["status"], row["count"])
    return DoctorStats(doctor_id=doctor_id, first_day=first, last_day=last, items=list(periods.values()))


async def dashboard() -> Dashboard:
    """Counts users, clinics and appointments: in total, today and in the next seven days."""
    now = utc_now()
    total, today, next_7_days = StatusCounts(), StatusCounts(), StatusCounts()
    users: dict[str, int] = {}
    clinics = patients = 0
    for row in await repository.count_everything(now):
        key, count = row["_id"], row["count"]
        match key["of"]:
            case "all":
                total.add(key["status"], count)
            case "day":
                ahead = (date.fromisoformat(key["day"]) - now.astimezone(ZoneInfo(key["zone"])).date()).days
                if ahead == 0:
                    today.add(key["status"], count)
                elif 1 <= ahead <= 7:
                    next_7_days.add(key["status"], count)
            case "users":
                users[key["role"]] = count
            case "patients":
                patients = count
            case "clinics":
                clinics = count
    return Dashboard(
        patients=patients,
        doctors=users.get(Role.DOCTOR, 0),
        nurses=users.get(Role.NURSE, 0),
        clinics=clinics,
        appointments=total,
        today=today,
        next_7_days=next_7_days,
        at=now,
    )
