"""Requests and responses about slots and closures, and the report of every change."""

from datetime import datetime
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from fastapi import Query
from fastapi import Response as HttpResponse
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from backend.accounts.documents import User
from backend.accounts.fields import example
from backend.accounts.profiles import Weekday
from backend.core.http.fields import Day, Id, Instant, Request, Response, Text
from backend.core.http.json_rows import Rows
from backend.core.http.time_range import DayOrInstant, end_moment, first_moment
from backend.directory.documents import Clinic, Closure
from backend.directory.fields import ClosingTime, WallTime
from backend.scheduling.access import clinic_scope
from backend.scheduling.availability import MOST_CAPACITY, MOST_SLOT_MINUTES, Span
from backend.scheduling.documents import SeatClaim
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.slot_sync import SyncResult

SlotMinutes = Annotated[
    Annotated[int, Field(ge=5, le=MOST_SLOT_MINUTES, multiple_of=5)] | None,
    Field(description="Length of a slot in minutes. Default: the doctor's slot length, else the clinic's."),
]
Capacity = Annotated[int, Field(ge=1, le=MOST_CAPACITY, description="How many patients can book one slot.")]


EXAMPLE_ID = "671f0c0e9b1d8a0001a1b2c3"


class SlotOut(Response):
    """A slot that can be booked. Times are UTC; show them in `time_zone`."""

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
    online_from: datetime = Field(description="Patients can book it from then on, staff before.")

    @classmethod
    def of(cls, found: OpenSlot) -> "SlotOut":
        """Builds it from a slot as it is stored."""
        return cls.model_validate({**SLOT_ROWS.row(found.stored), "free": found.free})


SLOT_ROWS = Rows(SlotOut)


Overbooked = Annotated[bool, BeforeValidator(bool)]
"""Whether an appointment is a fit-in. Only those of fit-ins store it."""


class BookedOut(Response):
    """A booked appointment in time that was withdrawn. It stays valid, and needs a decision until somebody
    reschedules, cancels or keeps it."""

    appointment_id: Id
    patient_id: Id
    patient_name: str
    doctor_id: Id
    doctor_name: str
    clinic_id: Id
    clinic_name: str
    time_zone: str
    start: datetime
    end: datetime
    status: str
    overbooked: Overbooked = Field(description="The staff fitted it in, over taken time or after hours.")


class WithdrawalReport(Response):
    """What a change did to slots and appointments. Once the request returns, no new booking can land in that time."""

    slots_opened: int = Field(description="How many slots the change opened.")
    slots_withdrawn: int = Field(description="How many open slots the change withdrew.")
    appointments: list[BookedOut] = Field(
        description="Every active appointment in the time that was withdrawn. Those that aren't over "
        "need a decision now: see `needs_decision` of appointments."
    )
    appointments_elsewhere: int = Field(
        default=0, description="How many more there are at clinics where the caller, a nurse, doesn't work."
    )


def reported(result: SyncResult, booked: list[SeatClaim], *, caller: User) -> HttpResponse:
    """Returns the report of a dry run of what would else be created."""
    return HttpResponse(report(result, booked, caller=caller).model_dump_json(), media_type="application/json")


def report(result: SyncResult, booked: list[SeatClaim], *, caller: User) -> WithdrawalReport:
    """Returns the report of a change, with the appointments that the caller may see."""
    clinic_ids = clinic_scope(caller)
    visible = [claim for claim in booked if clinic_ids is None or claim.clinic_id in clinic_ids]
    return WithdrawalReport(
        slots_opened=result.opened,
        slots_withdrawn=result.withdrawn,
        appointments=[
            BookedOut.model_validate({**claim.model_dump(), "appointment_id": claim.id}) for claim in visible
        ],
        appointments_elsewhere=len(booked) - len(visible),
    )


DryRun = Annotated[bool, Query(description="True: only reports what the change would do. Nothing is changed.")]
DRY_RUN_REPORT: dict[int | str, dict[str, Any]] = {
    200: {"model": WithdrawalReport, "description": "The report of a dry run: nothing was created."}
}
"""For routes that create something, unless `dry_run` is true."""


class PeriodIn(Request):
    """A period of time: either two times (RFC 3339 with an offset, `end` exclusive) or two dates (`end` included)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"start": "2026-12-24", "end": "2026-12-26", "reason": "Christmas"},
                {"start": "2026-12-24T13:00:00-05:00", "end": "2026-12-24T18:00:00-05:00"},
            ]
        }
    )

    start: DayOrInstant
    end: DayOrInstant
    reason: Text | None = None

    @model_validator(mode="after")
    def _starts_before_end(self) -> "PeriodIn":
        if type(self.start) is not type(self.end):
            raise ValueError("start and end must both be times or both be dates")
        span = self.span(ZoneInfo("UTC"))
        if span.start >= span.end:
            raise ValueError("end must be after start")
        if (span.end - span.start).days > 366:
            raise ValueError("must not be longer than 366 days")
        return self

    def span(self, zone: ZoneInfo) -> Span:
        """Returns the period in UTC. Dates are whole days in the zone."""
        return Span(first_moment(self.start, zone), end_moment(self.end, zone))


class ClosureOut(Response):
    """A period in which a clinic is closed in spite of its opening hours. Times are UTC; show them in `time_zone`."""

    id: Id
    clinic_id: Id
    clinic_name: str
    time_zone: str = Field(examples=["America/New_York"])
    start: datetime
    end: datetime
    reason: str | None

    @classmethod
    def of(cls, closure: Closure, clinic: Clinic, **more: WithdrawalReport) -> Self:
        """Builds it from a closure, its clinic, and for a subclass the report."""
        whose = {"clinic_id": clinic.clinic_id, "clinic_name": clinic.name, "time_zone": clinic.time_zone}
        return cls(**closure.model_dump(), **whose, **more)


class ClosureReport(ClosureOut):
    """A closure, and what it did to slots and appointments."""

    report: WithdrawalReport


class SlotIn(Request):
    """One slot. It may lie outside the weekly hours."""

    model_config = example(
        doctor_id=EXAMPLE_ID, clinic_id=EXAMPLE_ID, start="2026-12-05T09:00:00-05:00", minutes=30, capacity=1
    )

    doctor_id: Id
    clinic_id: Id
    start: Instant
    minutes: SlotMinutes = None
    capacity: Capacity = 1


class SlotPatch(Request):
    """A new capacity of a slot."""

    model_config = example(capacity=2)

    capacity: Capacity


class SlotReport(SlotOut):
    """The changed slot, and what the change did to slots and appointments. If it is closed, `free` is 0."""

    report: WithdrawalReport


class GenerateIn(Request):
    """A range of days that gets slots: those of `start` to `end`, or without these, those of the weekly hours."""

    model_config = example(
        **{"doctor_id": EXAMPLE_ID, "clinic_id": EXAMPLE_ID, "first_day": "2026-12-05", "last_day": "2026-12-19"},
        **{"weekdays": ["saturday"], "start": "09:00", "end": "12:00", "minutes": 20},
    )

    doctor_id: Id
    clinic_id: Id
    first_day: Day
    last_day: Day
    weekdays: list[Weekday] | None = Field(default=None, min_length=1, max_length=7, description="Default: all.")
    start: WallTime | None = None
    end: ClosingTime | None = None
    minutes: SlotMinutes = None
    capacity: Capacity = 1

    @model_validator(mode="after")
    def _complete(self) -> "GenerateIn":
        if self.first_day > self.last_day:
            raise ValueError("last_day must not be before first_day")
        if (self.start is None) != (self.end is None):
            raise ValueError("set both start and end, or neither")
        return self


class GenerateReport(Response):
    """How many slots were added. Time that other slots hold was skipped, so repeating the request adds nothing."""

    created: int
