"""Responses with counts of appointments."""

from datetime import date, datetime

from pydantic import Field

from backend.core.http.fields import Id, Response


class StatusCounts(Response):
    """The number of appointments by status."""

    scheduled: int = 0
    confirmed: int = 0
    checked_in: int = 0
    completed: int = 0
    cancelled: int = 0
    no_show: int = 0
    left: int = 0
    total: int = 0

    def add(self, status: str, count: int) -> None:
        """Adds `count` appointments of a status."""
        setattr(self, status, getattr(self, status) + count)
        self.total += count


class PeriodCounts(StatusCounts):
    """The counts of one day or month."""

    period: str = Field(description="`YYYY-MM-DD` or `YYYY-MM`, in the clinic's zone.", examples=["2026-11-21"])


class DoctorStats(Response):
    """A doctor's appointments by period. Periods without appointments are left out."""

    doctor_id: Id
    first_day: date
    last_day: date
    items: list[PeriodCounts]


class Dashboard(Response):
    """Counts of the whole system, at the moment `at`."""

    patients: int = Field(description="Active patients.")
    doctors: int = Field(description="Active doctors.")
    nurses: int = Field(description="Active nurses.")
    clinics: int = Field(description="Active clinics.")
    appointments: StatusCounts
    today: StatusCounts = Field(description="Appointments of today, by each clinic's calendar.")
    next_7_days: StatusCounts = Field(description="Appointments of the seven days after today.")
    at: datetime
