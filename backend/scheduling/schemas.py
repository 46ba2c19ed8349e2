"""Requests and answers about hours, leave, closures and slots."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from backend.accounts.documents import User
from backend.accounts.profiles import WEEK, HoursBlock, Weekday
from backend.core.http.fields import (
    ClosingTime,
    Day,
    Id,
    Instant,
    Request,
    Response,
    Text,
    WallTime,
    minutes_of,
)
from backend.core.http.json_rows import Rows
from backend.scheduling.access import in_sight
from backend.scheduling.availability import MOST_CAPACITY, MOST_SLOT_MINUTES
from backend.scheduling.documents import SeatClaim, Slot
from backend.scheduling.outcome import SyncResult
from backend.scheduling.slots.capacity import OpenSlot

_EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"

SlotMinutes = Annotated[int, Field(ge=5, le=MOST_SLOT_MINUTES, multiple_of=5)]
Capacity = Annotated[int, Field(ge=1, le=MOST_CAPACITY)]

_LENGTH = "Length of a slot in minutes. Default: the doctor's slot length, else the clinic's."
_CAPACITY = "How many patients can book one slot."


class SlotOut(Response):
    """A slot as it can be booked. Times are UTC; show them in `time_zone`."""

    id: Id
    doctor_id: Id
    doctor_name: str
    specialty: str
    department_id: Id | None
    clinic_id: Id
    clinic_name: str
    city: str
    time_zone: str = Field(examples=["America/New_York"])
    start: datetime
    end: datetime
    capacity: int
    free: int = Field(description="Seats that can be booked now.")

    @classmethod
    def of(cls, found: OpenSlot) -> "SlotOut":
        """From a search's find."""
        return cls.model_validate({**SLOT_ROWS.row(found.stored), "free": found.free})

    @classmethod
    def of_empty(cls, slot: Slot) -> "SlotOut":
        """From a slot that was only just opened."""
        return cls.model_validate({**slot.model_dump(), "free": slot.capacity})


SLOT_ROWS = Rows(SlotOut)


def slot_page(found: Iterable[OpenSlot], next_cursor: str | None) -> bytes:
    """A page of a search, as the JSON of `Page[SlotOut]`."""
    return SLOT_ROWS.page(({**slot.stored, "free": slot.free} for slot in found), next_cursor)


class BookedOut(Response):
    """A booked appointment that a withdrawal of time has met. It stays valid until a person decides."""

    appointment_id: Id
    patient_id: Id
    patient_name: str
    doctor_id: Id
    doctor_name: str
    clinic_id: Id
    clinic_name: str
    start: datetime
    end: datetime
    status: str

    @classmethod
    def of(cls, holder: SeatClaim) -> "BookedOut":
        """From what scheduling sees of an appointment."""
        return cls.model_validate({**holder.model_dump(), "appointment_id": holder.id})


class WithdrawalReport(Response):
    """What a change has done to the book. Once it is answered, nothing new can be booked in the time it took."""

    slots_opened: int = Field(description="Slots that the change has added to the book.")
    slots_withdrawn: int = Field(description="Open slots that the change has taken out of the book.")
    appointments: list[BookedOut] = Field(
        description="Every active appointment in the time that was withdrawn. None of them was changed."
    )
    appointments_elsewhere: int = Field(
        default=0, description="How many more there are at clinics where the caller, a nurse, doesn't work."
    )


def report(outcome: SyncResult, booked: list[SeatClaim], *, caller: User) -> WithdrawalReport:
    """The report of a change, with the appointments that the caller may see."""
    seen = in_sight(caller, booked)
    return WithdrawalReport(
        slots_opened=outcome.opened,
        slots_withdrawn=outcome.withdrawn,
        appointments=[BookedOut.of(holder) for holder in seen],
        appointments_elsewhere=len(booked) - len(seen),
    )


class HoursBlockIn(Request):
    """Working hours on one weekday at one clinic, in the clinic's wall-clock time."""

    clinic_id: Id
    weekday: Weekday
    start: WallTime = Field(examples=["09:00"])
    end: ClosingTime = Field(examples=["17:00"])
    slot_minutes: SlotMinutes | None = Field(default=None, description=_LENGTH)
    capacity: Capacity = Field(default=1, description=_CAPACITY)

    @model_validator(mode="after")
    def _in_order(self) -> "HoursBlockIn":
        if minutes_of(self.start) >= minutes_of(self.end):
            raise ValueError("end must lie after start")
        return self


def overlap(hours: Iterable[HoursBlockIn | HoursBlock]) -> HoursBlockIn | HoursBlock | None:
    """The first block of a week that begins before the one before it has ended; None where all are apart."""
    in_order = sorted(hours, key=lambda block: (WEEK.index(block.weekday), minutes_of(block.start)))
    for earlier, later in pairwise(in_order):
        if earlier.weekday == later.weekday and minutes_of(earlier.end) > minutes_of(later.start):
            return later
    return None


class WorkingHoursIn(Request):
    """A doctor's whole week; it replaces the one before. An empty list: no hours at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "hours": [
                        {"clinic_id": _EXAMPLE_ID, "weekday": "monday", "start": "09:00", "end": "12:30"},
                        {
                            "clinic_id": _EXAMPLE_ID,
                            "weekday": "monday",
                            "start": "13:30",
                            "end": "17:00",
                            "slot_minutes": 20,
                            "capacity": 2,
                        },
                    ]
                }
            ]
        }
    )

    hours: list[HoursBlockIn] = Field(max_length=56)

    @model_validator(mode="after")
    def _apart(self) -> "WorkingHoursIn":
        if block := overlap(self.hours):
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
    is_default: bool = Field(description="True while no hours were set: the first clinic's opening hours.")


class WorkingHoursChanged(WorkingHoursOut):
    """The week as it now is, and what the change has done to the book."""

    report: WithdrawalReport


class SpanIn(Request):
    """A stretch of time. RFC 3339 with an offset; the end is exclusive."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "start": "2026-12-24T00:00:00-05:00",
                    "end": "2026-12-27T00:00:00-05:00",
                    "reason": "Christmas",
                }
            ]
        }
    )

    start: Instant
    end: Instant
    reason: Text | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "SpanIn":
        if self.start >= self.end:
            raise ValueError("end must lie after start")
        if (self.end - self.start).days > 366:
            raise ValueError("must not be longer than 366 days")
        return self


class LeaveOut(Response):
    """A doctor's time off."""

    id: Id
    doctor_id: Id
    start: datetime
    end: datetime
    reason: str | None
    created_at: datetime


class LeaveTaken(LeaveOut):
    """A leave, and what it has done to the book."""

    report: WithdrawalReport


class ClosureOut(Response):
    """A stretch in which a clinic is closed in spite of its opening hours."""

    id: Id
    start: datetime
    end: datetime
    reason: str | None


class ClosureMade(ClosureOut):
    """A closure, and what it has done to the book."""

    report: WithdrawalReport


class SlotIn(Request):
    """One slot, outside the weekly hours if need be."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "doctor_id": _EXAMPLE_ID,
                    "clinic_id": _EXAMPLE_ID,
                    "start": "2026-12-05T09:00:00-05:00",
                    "minutes": 30,
                    "capacity": 1,
                }
            ]
        }
    )

    doctor_id: Id
    clinic_id: Id
    start: Instant
    minutes: SlotMinutes | None = Field(default=None, description=_LENGTH)
    capacity: Capacity = Field(default=1, description=_CAPACITY)


class GenerateIn(Request):
    """Slots over a range of days: those of given hours, or (without `start` and `end`) of the weekly hours."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "doctor_id": _EXAMPLE_ID,
                    "clinic_id": _EXAMPLE_ID,
                    "first_day": "2026-12-05",
                    "last_day": "2026-12-19",
                    "weekdays": ["saturday"],
                    "start": "09:00",
                    "end": "12:00",
                    "minutes": 20,
                }
            ]
        }
    )

    doctor_id: Id
    clinic_id: Id
    first_day: Day
    last_day: Day
    weekdays: list[Weekday] | None = Field(
        default=None, min_length=1, max_length=7, description="Default: all."
    )
    start: WallTime | None = None
    end: ClosingTime | None = None
    minutes: SlotMinutes | None = Field(default=None, description=_LENGTH)
    capacity: Capacity = Field(default=1, description=_CAPACITY)

    @model_validator(mode="after")
    def _complete(self) -> "GenerateIn":
        if self.first_day > self.last_day:
            raise ValueError("last_day must not lie before first_day")
        if (self.start is None) != (self.end is None):
            raise ValueError("start and end go together")
        if self.start and self.end and minutes_of(self.start) >= minutes_of(self.end):
            raise ValueError("end must lie after start")
        return self


class Generated(Response):
    """What was generated. Time that was held already was passed over, so that repeating it adds nothing."""

    created: int
