"""Runs: the consecutive slots of one doctor at one clinic that a visit takes. Search and booking share the rule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from beanie import PydanticObjectId

from backend.directory.visit_types.documents import VisitType
from backend.scheduling.availability import Span, ticks
from backend.scheduling.repository import Row
from backend.scheduling.slots.capacity import BookableSlot, OpenSlot


@dataclass(frozen=True, slots=True)
class Visit:
    """What decides where a visit of some type fits."""

    clinic_id: PydanticObjectId
    length: timedelta
    buffer: timedelta
    notice: timedelta
    doctor_ids: tuple[PydanticObjectId, ...]
    department_ids: tuple[PydanticObjectId, ...]

    @classmethod
    def of(cls, visit_type: VisitType) -> "Visit":
        """A visit of this type."""
        return cls(
            clinic_id=visit_type.clinic_id,
            length=timedelta(minutes=visit_type.minutes),
            buffer=timedelta(minutes=visit_type.buffer_minutes),
            notice=visit_type.minimum_notice,
            doctor_ids=tuple(visit_type.doctor_ids),
            department_ids=tuple(visit_type.department_ids),
        )

    @property
    def whole(self) -> timedelta:
        """How long the doctor is busy: the visit and the buffer after it."""
        return self.length + self.buffer


@dataclass(frozen=True, slots=True)
class Run:
    """The slots that a visit takes, by start, and the patient's own time in them: UTC, and in five-minute ticks."""

    slots: Sequence[BookableSlot]
    start: datetime
    end: datetime
    ticks: list[int]

    @classmethod
    def of_slot(cls, slot: BookableSlot) -> "Run":
        """The run of a visit without a type: one whole slot."""
        return cls((slot,), slot.start, slot.end, slot.ticks)

    @classmethod
    def of_visit(cls, slots: Sequence[OpenSlot], visit: Visit) -> "Run":
        """The run of a visit of some type in slots that `find_slots` has found."""
        bookable = [BookableSlot.of(slot.stored) for slot in slots]
        time = Span(bookable[0].start, bookable[0].start + visit.length)
        return cls(bookable, time.start, time.end, ticks(time))

    @property
    def first(self) -> BookableSlot:
        """The slot in which the visit starts. Its doctor, clinic and day are the visit's."""
        return self.slots[0]


class NoRun(Enum):
    """Why a visit doesn't fit: a slot has no free seat, or the doctor's slots end too early."""

    TAKEN = auto()
    TOO_SHORT = auto()


Beside = Mapping[tuple[PydanticObjectId, datetime], OpenSlot]
"""The open slots of some doctors at one clinic, full ones too, by doctor and start."""


def beside(slots: Iterable[OpenSlot]) -> Beside:
    """Returns slots of one clinic by doctor and start."""
    return {(slot.stored["doctor_id"], slot.stored["start"]): slot for slot in slots}


def find_slots(first: Row, open_slots: Beside, visit: Visit) -> list[OpenSlot] | NoRun:
    """Returns the slots that a visit takes which starts with `first`, or why it doesn't fit there.

    Each must have a free seat and begin where the one before ends; behind midnight the next day may have all its
    patients. They cover the visit and its buffer. The buffer needs a slot only where there is one: nobody can be
    booked in other time.
    """
    doctor_id, end = first["doctor_id"], first["start"]
    end_of_visit, end_of_buffer = end + visit.length, end + visit.whole
    found: list[OpenSlot] = []
    while end < end_of_buffer:
        slot = open_slots.get((doctor_id, end))
        if slot is None:
            if end < end_of_visit:
                return NoRun.TOO_SHORT
            break
        if not slot.free_for(first["day"]):
            return NoRun.TAKEN
        found.append(slot)
        end = slot.stored["end"]
    return found


def is_offered_in(slot: Row, visit: Visit) -> bool:
    """Returns whether the slot's clinic has this visit type and its doctor offers it."""
    if slot["clinic_id"] != visit.clinic_id:
        return False
    named = visit.doctor_ids or visit.department_ids
    return not named or slot["doctor_id"] in visit.doctor_ids or slot.get("department_id") in visit.department_ids
