"""Withdrawing slots. Once a withdrawal has returned, nobody can book them any more.

A booking reads its slot, then inserts itself under the unique index on (slot, seat). A withdrawal may come
between the two. It therefore blocks every seat of the slot's generation. Where an appointment holds the seat, the
appointment moves to the next generation first (that generation isn't open, so nobody else can be there), and the
block takes the seat that it left. Until then nobody else can: a booking also writes its seat into `reserved`, which
is unique too, and an appointment that moves keeps it there until the block is written.

Once each seat of the generation has a block, no booking that read the slot before can be written, now or later.
Blocks stay, and an appointment that is cancelled or rescheduled gives back a seat of a generation nobody was shown.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import timedelta

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.core.clock import utc_now
from backend.scheduling import repository as claims
from backend.scheduling.documents import SEATS_PER_GENERATION, Slot
from backend.scheduling.repository import Row
from backend.scheduling.slots import repository

BLOCKS_KEPT = timedelta(days=7)
"""How long a block outlives the withdrawal: far longer than any request."""

_SLOTS_AT_ONCE = 20
"""Slots whose appointments move at the same time."""


async def withdraw(slot_ids: Iterable[PydanticObjectId], *, to_reopen: Set[PydanticObjectId] = frozenset()) -> None:
    """Withdraws slots. When it returns, nobody can book them any more.

    A slot keeps its time while booked appointments remain in it, so that nothing else is offered over them; those
    `to_reopen` keep it anyway. Slots that staff removed stay removed.
    """
    if ids := list(slot_ids):
        for batch in claims.batches(await repository.begin_withdrawal(ids), repository.AT_ONCE):
            await _finish(batch, to_reopen)


async def withdraw_removed_too(slot_ids: Iterable[PydanticObjectId]) -> None:
    """Withdraws slots, including those that staff removed: the weekly hours may bring them back."""
    if ids := list(slot_ids):
        await repository.unmark_removed(ids)
        await withdraw(ids)


async def remove(slot_id: PydanticObjectId) -> bool:
    """Removes a slot for good; False if it no longer holds its time. When it returns, nobody can book it any more.

    The first write already records that it is removed. So of all processes that reconcile the doctor meanwhile, each
    finishes the removal before it returns, and none makes a plain withdrawal of it.
    """
    slot = await repository.begin_removal(slot_id)
    if slot is None:
        return False
    await _finish([slot])
    return True


async def _finish(closing: Sequence[Slot], to_reopen: Set[PydanticObjectId] = frozenset()) -> None:
    """Blocks every seat of closing slots, then sets them to closed or removed."""
    await _block_every_seat(closing)
    booked = await claims.find_booked_slots(slot.id for slot in closing)
    await repository.finish_withdrawal(closing, holding=booked | to_reopen)


async def _block_every_seat(slots: Sequence[Slot]) -> None:
    """Blocks every seat of these slots' generations; appointments move to the next generation.

    There they take the lowest seats: a slot may open again with fewer seats.
    """
    first_seats = {slot.id: slot.first_seat for slot in slots}
    next_seats = {slot_id: seat + SEATS_PER_GENERATION for slot_id, seat in first_seats.items()}
    every_seat = {
        (slot.id, seat) for slot in slots for seat in range(slot.first_seat, slot.first_seat + slot.capacity)
    }
    missing, moved = every_seat, list[Row]()
    while missing or moved:
        await claims.insert_blocks(missing, expires_at=utc_now() + BLOCKS_KEPT)
        await claims.release_reserved_seats(moved)
        # Only a block that was seen counts: a seat that somebody held a moment ago may be free by now.
        missing, moved = set(every_seat), []
        to_move: dict[PydanticObjectId, list[Row]] = {}
        for holder in await claims.find_seat_holders(first_seats):
            slot_id = holder["slot"]
            next_generation = first_seats[slot_id] + SEATS_PER_GENERATION
            if "patient_id" not in holder:
                missing.discard((slot_id, holder["seat"]))
                continue
            if holder["seat"] < next_generation:
                to_move.setdefault(slot_id, []).append(holder)
            if holder.get("reserved", next_generation) < next_generation:
                moved.append(holder)
        await _move(to_move, next_seats)


async def _move(holders: Mapping[PydanticObjectId, Sequence[Row]], next_seats: dict[PydanticObjectId, int]) -> None:
    """Moves the appointments of some slots to the seats from `next_seats` on, and updates `next_seats`.

    Those of one slot move one after the other, several slots at once: one by one, closing a clinic took seconds.
    """
    enough = asyncio.Semaphore(_SLOTS_AT_ONCE)

    async def in_slot(slot_id: PydanticObjectId) -> None:
        async with enough:
            for holder in holders[slot_id]:
                next_seats[slot_id] = await _move_one(holder, next_seats[slot_id])

    await asyncio.gather(*map(in_slot, holders))


async def _move_one(holder: Row, first: int) -> int:
    """Moves an appointment to the lowest free seat from `first` on. Returns where to start for the next one."""
    end_of_generation = first - first % SEATS_PER_GENERATION + SEATS_PER_GENERATION
    for seat in range(first, end_of_generation):
        try:
            has_moved = await claims.move_to_seat(holder, seat)
        except DuplicateKeyError:
            continue  # another withdrawal of the same slot has moved somebody here
        return seat + has_moved  # cancelled or rescheduled meanwhile: the seat is still free
    return end_of_generation  # never reached: capacities are far smaller than a generation
