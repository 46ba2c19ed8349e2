"""Slots, leave, and the part of an appointment that scheduling knows: who holds which seat."""

from datetime import datetime, timedelta
from enum import StrEnum

from beanie import Document, PydanticObjectId
from pydantic import BaseModel, Field
from pymongo import ASCENDING, IndexModel

from backend.core.clock import EPOCH, utc_now

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
    frozenset(fields): [(field, ASCENDING) for field in (*fields, "is_online", "known_full", "start", "_id")]
    for fields in (
        *((), ("doctor_id",), ("clinic_id",), ("department_id",)),
        *(("city_key",), ("specialty_key",), ("specialty_key", "city_key")),
    )
}
"""The indexes of slots, each for a search by just these fields. A search for patients doesn't pass the slots that
only staff can book; one for staff names both values of `is_online`, and the server merges the two."""

VISIT_INDEX = [
    (field, ASCENDING) for field in ("clinic_id", "is_online", "known_full", "known_longest", "start", "_id")
]
"""The index for a search of a clinic for a visit. It skips free slots that are known to be too short."""

ANY_LENGTH = 24 * 60
"""What `known_longest` is where nothing is known. Minutes; no visit is as long."""

LENGTHS = (15, 30, 45, 60, 90, 120)
"""The other values of `known_longest`; what is between is rounded up. Few: each is a scan of the index."""

LONGEST_HINTED = timedelta(minutes=LENGTHS[-1])

SHORT = {"known_longest": {"$lt": ANY_LENGTH}}
"""The condition for a slot of which `known_longest` says something."""

SHORT_INDEX = [("start", ASCENDING), ("_id", ASCENDING)]

EITHER = {"$in": [True, False]}
"""The condition by which a search for staff uses these indexes."""


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
    capacity_set: int | None = None  # by staff, for this slot: the weekly hours don't change it
    max_patients_per_day: int | None = None
    source: SlotSource = SlotSource.HOURS
    state: SlotState = SlotState.PENDING
    is_active: bool = True
    online_from: datetime = EPOCH  # UTC. Patients can book it from then on, staff before
    is_online: bool = True  # patients can book it
    known_full: bool = False  # searches skip it; not every full slot has this hint: see `full_hint`
    known_longest: int = ANY_LENGTH  # minutes; no longer visit can start here. A hint: see `length_hint`
    marking: PydanticObjectId | None = None  # a search is about to set a hint; what frees a seat removes it
    is_removed: bool = False  # staff removed it: finishing its withdrawal leaves it removed
    first_seat: int = 0  # the first seat number of the present generation
    revision: int = 0  # counts withdrawals; a slot opens only at the revision at which it was read
    created_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "slots"
        keep_nulls = False
        indexes = [
            IndexModel(["doctor_id", "ticks"], unique=True, partialFilterExpression=_ACTIVE_SLOT),
            *(
                IndexModel(keys, partialFilterExpression=_ACTIVE_SLOT)
                for keys in (*SEARCH_INDEXES.values(), VISIT_INDEX)
            ),
            # For the job that checks these hints. Few slots have one.
            IndexModel(SHORT_INDEX, partialFilterExpression={**_ACTIVE_SLOT, **SHORT}),
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


class HeldSeat(BaseModel):
    """A seat that is held in one slot. `reserved` is the same number, except while a withdrawal moves the holder.

    All seats of an appointment have `reserved`, those of blocks haven't: within one document, elements with and
    without it would collide in the index.
    """

    slot: PydanticObjectId
    seat: int
    reserved: int | None = None


class SeatClaim(Document):
    """What holds seats: an appointment, or a block that a withdrawal put there. Both lie in `appointments`.

    This is all that scheduling knows of an appointment. It holds a seat in each slot that its visit takes, all in one
    document. A fit-in is `overbooked`: it may hold fewer seats, or none, see `fit_ins`. A block holds one, and has
    `expires_at`. For `reserved` see `withdrawal`. An appointment that
    `clears_full_hint` is in a slot, or on a day, that searches skip as full: see `full_hint`.
    """

    seats: list[HeldSeat]
    overbooked: bool | None = None
    overbooked_slots: list[PydanticObjectId] | None = None  # those of a fit-in's time that had no free seat for it
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
            # Without `$exists`, two documents without seats would collide on a slot and a seat that are null.
            *(
                IndexModel(
                    ["seats.slot", number],
                    unique=True,
                    partialFilterExpression={"active": True, exists: {"$exists": True}},
                )
                for number, exists in (("seats.seat", "seats.slot"), ("seats.reserved", "seats.reserved"))
            ),
            IndexModel(["overbooked", "start"], partialFilterExpression={"active": True, "overbooked": True}),
            IndexModel(
                "overbooked_slots",
                partialFilterExpression={"active": True, "overbooked_slots": {"$exists": True}},
            ),
            IndexModel(
                ["doctor_id", "clinic_day", "daily_number"],
                unique=True,
                partialFilterExpression={"daily_number": {"$gte": 0}},
            ),
            # Blocks are needed only while a booking that read the slot before may still be on its way.
            IndexModel("expires_at", expireAfterSeconds=0),
        ]

    @property
    def slot_ids(self) -> list[PydanticObjectId]:
        """The slots in which it is, with a seat or, as a fit-in, without one."""
        return [*(held.slot for held in self.seats), *(self.overbooked_slots or ())]
