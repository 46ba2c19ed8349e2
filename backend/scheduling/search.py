"""The search for open slots: first free first, and nothing that booking would refuse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.core.pagination import BY_START, after, behind, encode_cursor
from backend.core.words import fold
from backend.scheduling import seats
from backend.scheduling.documents import Slot, SlotState

_SPARE = 10
_LARGEST_BATCH = 1000


Stored = Mapping[str, Any]
"""A slot as it is stored, as far as a search reads it."""

_READ = dict.fromkeys(
    (
        *("doctor_id", "doctor_name", "specialty", "department_id", "clinic_id", "clinic_name", "city"),
        *("time_zone", "start", "end", "day", "capacity", "max_patients_per_day", "first_seat"),
    ),
    1,
)
"""All that is shown of a slot or counts its free seats. As documents, not as models: a page of them takes half as
long."""


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot as it is stored, with its free seats."""

    stored: Stored
    free: int

    @property
    def slot_id(self) -> PydanticObjectId:
        """The slot's id."""
        return PydanticObjectId(self.stored["_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a search asks for. Times are UTC, `until` exclusive."""

    doctor_id: PydanticObjectId | None = None
    clinic_id: PydanticObjectId | None = None
    department_id: PydanticObjectId | None = None
    specialty: str | None = None
    city: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def query(self, now: datetime) -> dict[str, Any]:
        """The filter."""
        wanted = bookable(now)
        start = wanted["start"]
        if self.since is not None:
            start["$gte"] = self.since
        if self.until is not None:
            start["$lt"] = self.until
        for field in ("doctor_id", "clinic_id", "department_id"):
            if (value := getattr(self, field)) is not None:
                wanted[field] = value
        if self.specialty is not None:
            wanted["specialty_key"] = fold(self.specialty)
        if self.city is not None:
            wanted["city_key"] = fold(self.city)
        return wanted


def is_bookable(slot: Slot, now: datetime) -> bool:
    """Whether a slot may be booked if it has a free seat. What isn't open in the book never is."""
    return slot.is_active and slot.state is SlotState.OPEN and slot.start > now


def bookable(now: datetime) -> dict[str, Any]:
    """The filter for the slots that `is_bookable` takes."""
    return {"is_active": True, "state": SlotState.OPEN, "start": {"$gt": now}}


async def get_open(slot_id: PydanticObjectId) -> OpenSlot | None:
    """A bookable slot with its free seats, if any."""
    stored = await Slot.get_pymongo_collection().find_one({"_id": slot_id, **bookable(utc_now())}, _READ)
    return None if stored is None else (await _with_free_seats([stored]))[0]


async def _with_free_seats(slots: Sequence[Stored]) -> list[OpenSlot]:
    """Bookable slots with their free seats: capacity less active appointments; none when the doctor's day is full."""
    taken = await seats.taken({slot["_id"]: slot["first_seat"] for slot in slots})
    limited = {(slot["doctor_id"], slot["day"]) for slot in slots if "max_patients_per_day" in slot}
    patients = await seats.patients_on(limited)
    found = []
    for slot in slots:
        most = slot.get("max_patients_per_day")
        is_full_day = most is not None and patients[slot["doctor_id"], slot["day"]] >= most
        free = 0 if is_full_day else max(0, slot["capacity"] - taken[slot["_id"]])
        found.append(OpenSlot(slot, free))
    return found


async def find_open(
    wanted: Wanted, *, limit: int, cursor: str | None = None
) -> tuple[list[OpenSlot], str | None]:
    """The first free slots and the cursor of the next page.

    Full slots are passed over in growing batches, so that a full book costs few round trips.
    """
    query = wanted.query(utc_now())
    position = after(cursor, *BY_START)
    found: list[OpenSlot] = []
    size = limit + _SPARE
    while True:
        batch = await _read({"$and": [query, position]}, size)
        found.extend(slot for slot in await _with_free_seats(batch) if slot.free)
        if len(found) > limit:
            last = found[limit - 1].stored
            return found[:limit], encode_cursor(last["start"], last["_id"])
        if len(batch) < size:
            return found, None
        position = behind((batch[-1]["start"], batch[-1]["_id"]), "start", "_id")
        size = min(size * 2, _LARGEST_BATCH)


async def _read(query: dict[str, Any], size: int) -> list[dict[str, Any]]:
    found = Slot.get_pymongo_collection().find(
        query, _READ, sort=[("start", 1), ("_id", 1)], limit=size, batch_size=size
    )
    return await found.to_list()


async def next_free(doctor_id: PydanticObjectId, *, limit: int = 3) -> list[OpenSlot]:
    """The doctor's next free slots, for somebody whose choice was just taken."""
    slots, _ = await find_open(Wanted(doctor_id=doctor_id), limit=limit)
    return slots
