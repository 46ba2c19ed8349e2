"""Requests and responses about working hours and leave."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from backend.accounts.documents import User
from backend.accounts.fields import example
from backend.accounts.profiles import HoursBlock, Weekday
from backend.core.http.fields import Id, Request, Response
from backend.directory.fields import ClosingTime, WallTime, find_overlap
from backend.scheduling.documents import Leave
from backend.scheduling.schemas import EXAMPLE_ID, Capacity, SlotMinutes, WithdrawalReport


class HoursBlockIn(Request):
    """Working hours at one clinic, in its wall-clock time. They may run over midnight, from the weekday on."""

    clinic_id: Id
    weekday: Weekday
    start: WallTime = Field(examples=["09:00"])
    end: ClosingTime = Field(examples=["17:00"])
    slot_minutes: SlotMinutes = None
    capacity: Capacity = 1


def overlap_in(hours: Iterable[HoursBlockIn | HoursBlock]) -> HoursBlockIn | HoursBlock | None:
    """Returns a block of a week that overlaps another one; None if no blocks overlap."""
    return find_overlap(hours, lambda block: (block.weekday, block.start, block.end))


_ON_MONDAY = {"clinic_id": EXAMPLE_ID, "weekday": "monday"}


class WorkingHoursIn(Request):
    """A doctor's whole week. It replaces the one before. An empty list means no hours at all."""

    model_config = example(
        hours=[
            {**_ON_MONDAY, "start": "09:00", "end": "12:30"},
            {**_ON_MONDAY, "start": "13:30", "end": "17:00", "slot_minutes": 20, "capacity": 2},
        ]
    )

    hours: list[HoursBlockIn] = Field(max_length=56)

    @model_validator(mode="after")
    def _no_overlap(self) -> "WorkingHoursIn":
        if block := overlap_in(self.hours):
            raise ValueError(f"hours overlap on {block.weekday} at {block.start}")
        return self


class HoursBlockOut(Response):
    """Working hours on one weekday at one clinic, in the clinic's wall-clock time."""

    clinic_id: Id
    weekday: Weekday
    start: str
    end: str
    slot_minutes: int
    capacity: int


class WorkingHoursOut(Response):
    """A doctor's week."""

    hours: list[HoursBlockOut]
    is_default: bool = Field(description="True while no hours are set. The first clinic's opening hours apply then.")


class WorkingHoursReport(WorkingHoursOut):
    """The week as it now is, and what the change did to slots and appointments."""

    report: WithdrawalReport


class LeaveOut(Response):
    """A doctor's time off. Times are UTC; show them in `time_zone`."""

    id: Id
    doctor_id: Id
    doctor_name: str
    time_zone: str = Field(description="That of the doctor's first clinic; `UTC` if they have none.")
    start: datetime
    end: datetime
    reason: str | None
    created_at: datetime

    @classmethod
    def of(cls, leave: Leave, doctor: User, zone: ZoneInfo, **more: WithdrawalReport) -> Self:
        """Builds it from a leave, its doctor, the zone of their first clinic, and for a subclass the report."""
        return cls(**leave.model_dump(), doctor_name=doctor.name, time_zone=zone.key, **more)


class LeaveReport(LeaveOut):
    """A leave, and what it did to slots and appointments."""

    report: WithdrawalReport
