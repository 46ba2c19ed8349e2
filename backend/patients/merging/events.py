"""What merging asks of the packages above: to move what they hold of a patient, or to say what would move."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from beanie import PydanticObjectId

from backend.core.events import Signal
from backend.patients.documents import Patient


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingAppointment:
    """An appointment as the report of a merge shows it. Times are UTC."""

    id: PydanticObjectId
    start: datetime
    end: datetime
    time_zone: str
    doctor_name: str
    clinic_name: str
    status: str
    overlaps: Sequence[PydanticObjectId] = ()


@dataclass(slots=True, kw_only=True)
class Movement:
    """From which record to which, and what came of it; the handlers add that.

    Undoing a merge moves back only what it had moved, and may move it again any number of times. Merging moves all.
    """

    source: PydanticObjectId
    target: Patient
    is_undo: bool = False
    since: datetime | None = None
    appointments: list[PydanticObjectId] = field(default_factory=list)
    conflicts: list[MovingAppointment] = field(default_factory=list)
    booked_since: list[MovingAppointment] = field(default_factory=list)
    messages: int = 0


records_moving: Signal[Movement] = Signal()
"""Sent to move what belongs to a record. Handlers may run any number of times, and move what arrived meanwhile."""

move_previewed: Signal[Movement] = Signal()
"""Sent to say what would move. Handlers change nothing."""
