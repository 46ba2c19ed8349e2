"""Finding a seat in a slot. The unique indexes decide; what is read here only chooses which seat to ask for."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from beanie import PydanticObjectId
from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments.documents import Appointment
from backend.appointments.errors import DayFull, PatientDoubleBooked, SlotTaken
from backend.core.mongo.batching import Batcher
from backend.scheduling.documents import SEATS_PER_GENERATION, SEEN_THAT_DAY, SeatClaim, Slot
from backend.scheduling.slots.capacity import BookableSlot
from backend.scheduling.slots.full_hint import seat_given_back
from backend.scheduling.slots.horizon import look_again

T = TypeVar("T")


Row = Mapping[str, Any]

_HOLDER = dict.fromkeys(
    ("slot_id", "seat", "reserved_seat", "doctor_id", "clinic_day", "daily_number", "active"), 1
)


@dataclass(frozen=True, slots=True)
class Seat:
    """A seat to ask for, and a number among the doctor's patients of the day where these are limited."""

    seat: int
    daily_number: int | None


@dataclass(frozen=True, slots=True)
class SlotChoice:
    """A slot to be seated in, and the doctor's patients of that day where there is a choice to make."""

    slot: BookableSlot
    holders: Sequence[Row]
    patient_name: str | None = None


async def read_slot_choice(
    slot_id: PydanticObjectId, *, patient_id: PydanticObjectId | None = None
) -> SlotChoice | None:
    """Reads a slot with all that booking in it needs, in one read; None where there is no such slot.

    Where a slot has one seat and the doctor's day no limit, there is nothing to choose and nobody is looked up. With
    a patient's id it brings the name, if that is an active patient.
    """
    if patient_id is None:
        return await _places.load(slot_id)
    (place,) = await _read_places([slot_id], _name_of(patient_id))
    return place


async def _read_places(
    slot_ids: Sequence[PydanticObjectId], *more: Mapping[str, Any]
) -> Sequence[SlotChoice | None]:
    pipeline = [{"$match": {"_id": {"$in": list(set(slot_ids))}}}, _SLOTS_AND_HOLDERS, *more]
    (found,) = await (await Slot.get_pymongo_collection().aggregate(pipeline)).to_list()
    slots = {slot["_id"]: BookableSlot.of(slot) for slot in found["slots"]}
    holders = {choice["_id"]: choice["holders"] for choice in found["choices"]}
    names = [
        user["name"] for user in found.get("users", ()) if user["role"] == Role.PATIENT and user["is_active"]
    ]
    return [
        SlotChoice(slots[slot_id], holders.get(slot_id, ()), patient_name=names[0] if names else None)
        if slot_id in slots
        else None
        for slot_id in slot_ids
    ]


_places: Batcher[PydanticObjectId, SlotChoice | None] = Batcher("slot", _read_places)


_IS_A_CHOICE = {"$or": [{"capacity": {"$gt": 1}}, {"max_patients_per_day": {"$gt": 0}}]}

_SAME_DAY = {"$and": [{"$eq": ["$doctor_id", "$$doctor"]}, {"$eq": ["$clinic_day", "$$day"]}]}

_SLOTS_AND_HOLDERS = RawBSONDocument(
    encode(
        {
            # A stage that no document of the `$facet` reaches isn't carried out: most slots are spared the lookup.
            "$facet": {
                "slots": [{"$match": {}}],
                "choices": [
                    {"$match": _IS_A_CHOICE},
                    {
                        "$lookup": {
                            "from": SeatClaim.Settings.name,
                            "let": {"doctor": "$doctor_id", "day": "$day"},
                            "pipeline": [
                                {"$match": {"$expr": _SAME_DAY, "status": {"$in": SEEN_THAT_DAY}}},
                                {"$project": _HOLDER},
                            ],
                            "as": "holders",
                        }
                    },
                    {"$project": {"holders": 1}},
                ],
            }
        }
    )
)
"""Encoded once: it is the larger part of what a booking asks the database."""


def _name_of(patient_id: PydanticObjectId) -> dict[str, Any]:
    """Brings the user by the id alone: asked for the role too, the server might try an index that is dearer."""
    return {
        "$lookup": {
            "from": User.get_pymongo_collection().name,
            "pipeline": [
                {"$match": {"_id": patient_id}},
                {"$project": {"name": 1, "role": 1, "is_active": 1}},
            ],
            "as": "users",
        }
    }


async def seat_in(
    place: SlotChoice,
    *,
    patient_id: PydanticObjectId,
    write: Callable[[Seat], Awaitable[T]],
    moving: Appointment | None = None,
) -> T:
    """Writes with the first seat that the indexes grant.

    A refusal means that somebody else got the seat or the number meanwhile, and who holds what is read again; so the
    attempts are bounded by the seats and numbers there are. Raises `SlotTaken`, `DayFull`, `PatientDoubleBooked`.
    """
    slot = place.slot
    seat = _free_seat(slot, place.holders, patient_id, moving)
    for _ in range(slot.capacity + (slot.max_patients_per_day or 0) + 1):
        try:
            return await write(seat)
        except DuplicateKeyError as error:
            broken = (error.details or {}).get("keyPattern", {})
            is_seat = "seat" in broken or "reserved_seat" in broken
            if is_seat and slot.capacity == 1:
                raise SlotTaken from None
            if is_seat or "daily_number" in broken:
                seat = _free_seat(slot, await _holders(slot), patient_id, moving)
            elif "ticks" in broken:
                raise PatientDoubleBooked from None
            else:
                raise
    raise SlotTaken


def _keeps_number(slot: BookableSlot, moving: Appointment | None) -> bool:
    """Whether somebody moves within one of the doctor's days: he counts there already."""
    return moving is not None and (moving.doctor_id, moving.clinic_day) == (slot.doctor_id, slot.day)


def _number_kept(slot: BookableSlot, moving: Appointment | None) -> int | None:
    return moving.daily_number if moving is not None and _keeps_number(slot, moving) else None


async def _holders(slot: BookableSlot) -> list[Row]:
    """Who holds a seat of the slot, blocks included, or a number of the doctor's day."""
    in_slot = {"slot_id": slot.id, "active": True}
    on_day = {"doctor_id": slot.doctor_id, "clinic_day": slot.day, "status": {"$in": SEEN_THAT_DAY}}
    found = SeatClaim.get_pymongo_collection().find(
        in_slot if slot.max_patients_per_day is None else {"$or": [in_slot, on_day]}, _HOLDER
    )
    return await found.to_list()


def _free_seat(
    slot: BookableSlot, holders: Sequence[Row], patient_id: PydanticObjectId, moving: Appointment | None
) -> Seat:
    """Picks a seat and a number that nobody has. Raises `SlotTaken` or `DayFull`."""
    own, place = moving.id if moving else None, _place_of(patient_id)
    others = [row for row in holders if row["_id"] != own]
    here = [row for row in others if row["slot_id"] == slot.id and row["active"]]
    seats = range(slot.first_seat, slot.first_seat + slot.capacity)
    held = {row[field] for row in here for field in ("seat", "reserved_seat") if field in row}
    seat = _one_of([seat for seat in seats if seat not in held], place)
    if seat is None:
        raise SlotTaken
    if slot.max_patients_per_day is None or _keeps_number(slot, moving):
        return Seat(seat, _number_kept(slot, moving))
    on_day = {"doctor_id": slot.doctor_id, "clinic_day": slot.day}
    that_day = [row for row in others if all(row.get(field) == on_day[field] for field in on_day)]
    number = _one_of(_numbers_for(slot.max_patients_per_day, that_day), place)
    if number is None:
        raise DayFull
    return Seat(seat, number)


def _numbers_for(most: int, that_day: Sequence[Mapping[str, Any]]) -> list[int]:
    """The numbers of the day that may be asked for.

    On a day there may be patients without a number, or with one that the limit doesn't reach: they were booked
    before it was set or lowered, or a correction brought them back. For each of them the highest of the free
    numbers stays free. Whoever takes a number leaves as many above it, so that however many ask at once, and
    whatever they have read, the numbers run out when the day is full.
    """
    numbers = {row.get("daily_number") for row in that_day}
    room = max(0, most - len(that_day))
    return [number for number in range(most) if number not in numbers][:room]


def _one_of(free: Sequence[int], place: int) -> int | None:
    """One of them, not the same for everybody: many who ask at once seldom ask for the same."""
    return free[place % len(free)] if free else None


def _place_of(patient_id: PydanticObjectId) -> int:
    """A number that differs between patients: the counter in the id's last three bytes."""
    return int.from_bytes(patient_id.binary[-3:], "big")


def seats_above(seat: int) -> Iterator[int]:
    """The same place in this round and in later ones, for a correction that comes after a withdrawal."""
    return iter(range(seat, seat + SEATS_PER_GENERATION * 50, SEATS_PER_GENERATION))


async def refill_behind(left: Appointment, now: Appointment) -> None:
    """After somebody has left a slot: searches look at it again where they passed it over as full.

    And one that was withdrawn held its time only for the patients in it. `now` is what the write that left it found:
    whether the appointment has to tell may have changed since it was read.
    """
    if now.clears_full_hint:
        await seat_given_back(doctor_id=left.doctor_id, day=left.clinic_day, start=left.start)
    if left.seat >= SEATS_PER_GENERATION:
        await look_again(left.doctor_id)
