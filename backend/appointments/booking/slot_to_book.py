"""What booking reads in its one command: the slot, the claims on it, and who the patient is."""

from collections.abc import Sequence
from dataclasses import dataclass

from beanie import PydanticObjectId

from backend.core.mongo.batching import Batcher
from backend.patients.links.repository import linked_in, lookups_of_links
from backend.patients.repository import lookup_of_patient
from backend.scheduling.repository import Row, read_slots_with_claims
from backend.scheduling.slots.capacity import BookableSlot


@dataclass(frozen=True, slots=True)
class SlotToBook:
    """A slot and the claims on its seats and its day."""

    slot: BookableSlot
    claims: Sequence[Row]


_SlotAndLinks = tuple[SlotToBook | None, Sequence[Row]]


async def read_slot_to_book(slot_id: PydanticObjectId) -> SlotToBook | None:
    """Returns a slot; None if there is none with this id."""
    return (await _read.load((slot_id, None)))[0]


async def read_slot_and_links(slot_id: PydanticObjectId, user_id: PydanticObjectId) -> _SlotAndLinks:
    """Returns a slot, and an account's links, each with its `patient`."""
    return await _read.load((slot_id, user_id))


async def read_slot_and_name(
    slot_id: PydanticObjectId, patient_id: PydanticObjectId
) -> tuple[SlotToBook | None, str | None]:
    """Returns a slot, and the name of a patient if they are active."""
    slots, claims, beside = await read_slots_with_claims([slot_id], lookup_of_patient(patient_id, name="patients"))
    name = next((patient["name"] for patient in beside["patients"] if patient["is_active"]), None)
    return _to_book(slots.get(slot_id), claims.get(slot_id, ())), name


async def _read_batch(
    wanted: Sequence[tuple[PydanticObjectId, PydanticObjectId | None]],
) -> Sequence[_SlotAndLinks]:
    users = {user_id for _, user_id in wanted if user_id is not None}
    lookups = lookups_of_links(users) if users else []
    slots, claims, beside = await read_slots_with_claims({slot_id for slot_id, _ in wanted}, *lookups)
    return [
        (
            _to_book(slots.get(slot_id), claims.get(slot_id, ())),
            [] if user_id is None else linked_in(beside, user_id),
        )
        for slot_id, user_id in wanted
    ]


_read: Batcher[tuple[PydanticObjectId, PydanticObjectId | None], _SlotAndLinks] = Batcher("slot", _read_batch)


def _to_book(slot: Row | None, claims: Sequence[Row]) -> SlotToBook | None:
    return None if slot is None else SlotToBook(BookableSlot.of(slot), claims)
