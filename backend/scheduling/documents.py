"""Slots, leave, and the part of an appointment that scheduling knows: who holds which seat."""

from datetime import datetime
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import Field
from pymongo import ASCENDING, IndexModel

from backend.core.clock import utc_now

SEATS_PER_GENERATION = 1000
"""Seat numbers of one generation of a slot. Withdrawing a slot starts the next: no seat is given twice."""


class SlotState(StrEnum):
    """The state of a slot. Only an open slot is offered and can be booked."""

    PENDING = "pending"  # stored, but its inputs are read once more before it is offered
    OPEN = "open"
    CLOSING = "closing"  # being withdrawn; if its process dies, the next run finishes it
    CLOSED = "closed"  # withdrawn; holds its time only while booked appointments remain
    REMOVED = "removed"  # removed by staff; holds its time, so that the weekly hours don't bring it back


class SlotSource(StrEnum):
    """Where a slot comes from. One of the weekly hours is withdrawn when they change."""

    HOURS = "hours"
    STAFF = "staff"


_ACTIVE_SLOT = {"is_active": True}

SEARCH_INDEXES = {
    frozenset(fields): [(field, ASCENDING) for field in (*fields, "known_full", "start", "_id")]
    for fields in (
        *((), ("doctor_id",), ("clinic_id",), ("department_id",)),
        *(("city_key",), ("specialty_key",), ("specialty_key", "city_key")),
    )
}
"""The indexes of slots, each for a search by just these fields."""


class Slot(Document):
    """A period of a doctor's time that patients can book. `day` is the clinic's calendar day."""

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    doctor_id: PydanticObjectId
    doctor_name: str
    specialty: str
    specialty_key: str
    department_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId
    clinic_name: str
    city: str
    city_key: str
    time_zone: str
    start: datetime
    end: datetime
    day: str
    ticks: list[int]
    capacity: int = 1
    max_patients_per_day: int | None = None
    source: SlotSource = SlotSource.HOURS
    state: SlotState = SlotState.PENDING
    is_active: bool = True
    known_full: bool = False  # searches skip it; not every full slot has this hint: see `full_hint`
    marking: PydanticObjectId | None = None  # a search is about to set `known_full`; what frees a seat removes it
    is_removed: bool = False  # staff removed it: finishing its withdrawal leaves it removed
    first_seat: int = 0  # the first seat number of the present generation
    revision: int = 0  # counts withdrawals; a slot opens only at the revision at which it was read
    created_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "slots"
        keep_nulls = False
        indexes = [
            IndexModel(["doctor_id", "ticks"], unique=True, partialFilterExpression=_ACTIVE_SLOT),
            *(IndexModel(keys, partialFilterExpression=_ACTIVE_SLOT) for keys in SEARCH_INDEXES.values()),
        ]


class Leave(Document):
    """A doctor's time off. UTC, end exclusive."""

    id: PydanticObjectId = Field(default_factory=PydanticObjectId)
    doctor_id: PydanticObjectId
    start: datetime
    end: datetime
    reason: str | None = None
    created_by: PydanticObjectId
    created_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "leaves"
        keep_nulls = False
        indexes = [IndexModel(["doctor_id", "end"]), IndexModel(["doctor_id", "start", "_id"])]


COUNTED_STATUSES = ("scheduled", "confirmed", "checked_in", "completed")
"""The statuses of appointments that count against a doctor's limit of patients per day. Completed ones do too."""


class SeatClaim(Document):
    """What holds a seat: an appointment, or a block that a withdrawal put there. Both lie in `appointments`.

    This is all that scheduling knows of an appointment. A block has a slot, a seat and `expires_at`. The
    `reserved_seat` of an appointment is its seat, except while a withdrawal moves it: see `withdrawal`. An
    appointment that `clears_full_hint` is in a slot, or on a day, that searches skip as full: see `full_hint`.
    """

    slot_id: PydanticObjectId
    seat: int
    reserved_seat: int | None = None
    clears_full_hint: bool | None = None
    active: bool
    expires_at: datetime | None = None
    patient_id: PydanticObjectId | None = None
    patient_name: str | None = None
    doctor_id: PydanticObjectId | None = None
    doctor_name: str | None = None
    clinic_id: PydanticObjectId | None = None
    clinic_name: str | None = None
    clinic_day: str | None = None
    time_zone: str | None = None
    daily_number: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    status: str | None = None

    class Settings:
        name = "appointments"
        keep_nulls = False
        indexes = [
            IndexModel(["slot_id", "seat"], unique=True, partialFilterExpression={"active": True}),
            IndexModel(
                ["slot_id", "reserved_seat"],
                unique=True,
                partialFilterExpression={"active": True, "reserved_seat": {"$gte": 0}},
            ),
            IndexModel(
                ["doctor_id", "clinic_day", "daily_number"],
                unique=True,
                partialFilterExpression={"daily_number": {"$gte": 0}},
            ),
            # Blocks are needed only while a booking that read the slot before may still be on its way.
            IndexModel("expires_at", expireAfterSeconds=0),
        ]
