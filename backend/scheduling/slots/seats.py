"""Seats: who holds them, and how a withdrawal takes them so that no late booking slips in.

A booking reads its slot, then inserts itself under the unique index on (slot_id, seat). A withdrawal may come
between the two. It therefore takes every seat of the slot's round with a block. Where an appointment holds the
seat, the appointment steps over to the next round first (that round isn't open, so nobody else can be there),
and the block takes the seat it left. In between nobody else can: a booking writes its seat into `reserved_seat` too,
which is unique as well, and the appointment that steps over keeps it there until the block is written.

Once each seat of the round has a block, no booking that read the slot before can be written, now or later:
blocks don't leave, and what cancels or moves away gives back a seat of a round that nobody has been shown.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from backend.core.clock import utc_now
from backend.scheduling.documents import SEATS_PER_GENERATION, SEEN_THAT_DAY, SeatClaim, Slot

BLOCKS_KEPT = timedelta(days=7)
"""How long a block outlives the withdrawal: far longer than any request."""

_AT_ONCE = 1000
"""Documents of one write: it stays far below the time that one operation may take, and lets other requests come
in between. Hundreds of slots of many seats are a valid week."""

_SLOTS_AT_ONCE = 20
"""In which appointments step over at the same time."""

_DUPLICATE_KEY = 11000


def limited_days(slots: Iterable[Mapping[str, Any]]) -> set[tuple[PydanticObjectId, str]]:
    """Doctor and clinic's day of those slots, as stored, whose doctor sees only so many patients a day."""
    return {(slot["doctor_id"], slot["day"]) for slot in slots if "max_patients_per_day" in slot}


async def taken(first_seats: Mapping[PydanticObjectId, int], **holders: Any) -> Counter[PydanticObjectId]:
    """How many seats of open slots' present rounds are held; the slots by id, each with its round's first seat.

    Only appointments are counted that have what `holders` asks for.
    """
    rows = SeatClaim.get_pymongo_collection().find(
        {"slot_id": {"$in": list(first_seats)}, "active": True, **holders},
        {"_id": 0, "slot_id": 1, "seat": 1},
    )
    return count(await rows.to_list(), first_seats)


def count(
    holders: Iterable[Mapping[str, Any]], first_seats: Mapping[PydanticObjectId, int]
) -> Counter[PydanticObjectId]:
    """How many of these hold a seat of their slot's present round, by slot."""
    return Counter(row["slot_id"] for row in holders if row["seat"] >= first_seats[row["slot_id"]])


async def patients_on(
    days: Set[tuple[PydanticObjectId, str]], **holders: Any
) -> Counter[tuple[PydanticObjectId, str]]:
    """How many patients doctors see, or have seen, on days of the clinic; `holders` as for `taken`."""
    if not days:
        return Counter()
    rows = SeatClaim.get_pymongo_collection().find(
        {**_seen_on(days), **holders}, {"_id": 0, "doctor_id": 1, "clinic_day": 1}
    )
    return Counter((row["doctor_id"], row["clinic_day"]) for row in await rows.to_list())


def _seen_on(days: Set[tuple[PydanticObjectId, str]]) -> dict[str, Any]:
    wanted = [{"doctor_id": doctor_id, "clinic_day": day} for doctor_id, day in days]
    return {"$or": wanted, "status": {"$in": SEEN_THAT_DAY}}


async def have_holders_tell(slots: Sequence[Mapping[str, Any]]) -> None:
    """Has all who hold these slots, as stored, or fill the doctor's day, tell searches when they don't any more."""
    collection, tell = SeatClaim.get_pymongo_collection(), {"$set": {"clears_full_hint": True}}
    in_slots = {"slot_id": {"$in": [slot["_id"] for slot in slots]}, "active": True}
    await collection.update_many({**in_slots, "clears_full_hint": {"$ne": True}}, tell)
    if days := limited_days(slots):
        await collection.update_many({**_seen_on(days), "clears_full_hint": {"$ne": True}}, tell)


async def take_all(slots: Sequence[Slot]) -> None:
    """Blocks every seat of these slots' present rounds; appointments step over to the next round.

    There they take the lowest seats, so that a slot which opens again smaller has none of them beyond its last.
    """
    rounds = {slot.slot_id: slot.first_seat for slot in slots}
    steps = {slot_id: first_seat + SEATS_PER_GENERATION for slot_id, first_seat in rounds.items()}
    every_seat = {
        (slot.slot_id, seat)
        for slot in slots
        for seat in range(slot.first_seat, slot.first_seat + slot.capacity)
    }
    wanted, left = every_seat, list[dict[str, Any]]()
    while wanted or left:
        await _block(wanted)
        await _let_go(left)
        # Only a block that was seen counts: a seat that somebody held a moment ago may be free by now.
        wanted, left = set(every_seat), []
        stepping: dict[PydanticObjectId, list[dict[str, Any]]] = {}
        for holder in await _holders(rounds):
            slot_id, next_round = holder["slot_id"], rounds[holder["slot_id"]] + SEATS_PER_GENERATION
            if "patient_id" not in holder:
                wanted.discard((slot_id, holder["seat"]))
                continue
            if holder["seat"] < next_round:
                stepping.setdefault(slot_id, []).append(holder)
            if holder.get("reserved_seat", next_round) < next_round:
                left.append(holder)
        await _step_over(stepping, steps)


async def booked_in(slot_ids: Iterable[PydanticObjectId]) -> set[PydanticObjectId]:
    """Which of these slots still have active appointments."""
    return {holder["slot_id"] for holder in await _appointments(dict.fromkeys(slot_ids, 0))}


async def held(slots: Iterable[Slot]) -> dict[PydanticObjectId, list[int]]:
    """The seats of these slots' present rounds that appointments hold; slots without any are left out."""
    found: dict[PydanticObjectId, list[int]] = {}
    for holder in await _appointments({slot.slot_id: slot.first_seat for slot in slots}):
        found.setdefault(holder["slot_id"], []).append(holder["seat"])
    return found


async def _block(seats: Iterable[tuple[PydanticObjectId, int]]) -> None:
    expires_at = utc_now() + BLOCKS_KEPT
    blocks = [
        {"slot_id": slot_id, "seat": seat, "active": True, "expires_at": expires_at}
        for slot_id, seat in sorted(seats)
    ]
    for first in range(0, len(blocks), _AT_ONCE):
        await _insert_blocks(blocks[first : first + _AT_ONCE])


async def _insert_blocks(blocks: list[dict[str, Any]]) -> None:
    try:
        await SeatClaim.get_pymongo_collection().insert_many(blocks, ordered=False)
    except BulkWriteError as error:
        # A seat that is held already is what we came for; anything else is a real failure.
        if any(fault["code"] != _DUPLICATE_KEY for fault in error.details["writeErrors"]):
            raise


async def _holders(rounds: Mapping[PydanticObjectId, int], **which: Any) -> list[dict[str, Any]]:
    """Who holds seats in slots: appointments, and blocks, which have no patient. Rounds before are left out."""
    rows = SeatClaim.get_pymongo_collection().find(
        {"slot_id": {"$in": list(rounds)}, "active": True, **which},
        {"slot_id": 1, "seat": 1, "reserved_seat": 1, "patient_id": 1},
    )
    return [row async for row in rows if row["seat"] >= rounds[row["slot_id"]]]


async def _appointments(rounds: Mapping[PydanticObjectId, int]) -> list[dict[str, Any]]:
    return await _holders(rounds, patient_id={"$exists": True})


async def _step_over(
    holders: Mapping[PydanticObjectId, Sequence[Mapping[str, Any]]], steps: dict[PydanticObjectId, int]
) -> None:
    """Moves the appointments of some slots to the seats from `steps` on; afterwards that is where the next may look.

    Those of a slot go one after the other, several slots at once: one by one a clinic's closing took many seconds.
    """
    enough = asyncio.Semaphore(_SLOTS_AT_ONCE)

    async def in_slot(slot_id: PydanticObjectId) -> None:
        async with enough:
            for holder in holders[slot_id]:
                steps[slot_id] = await _step_one_over(holder, steps[slot_id])

    await asyncio.gather(*map(in_slot, holders))


async def _step_one_over(holder: Mapping[str, Any], first: int) -> int:
    """Moves an appointment to the lowest seat from `first` on that nobody has, and says where the next may look."""
    where = {key: holder[key] for key in ("_id", "slot_id", "seat")} | {"active": True}
    end_of_round = first - first % SEATS_PER_GENERATION + SEATS_PER_GENERATION
    for seat in range(first, end_of_round):
        try:
            result = await SeatClaim.get_pymongo_collection().update_one(where, {"$set": {"seat": seat}})
        except DuplicateKeyError:
            continue  # another withdrawal of the same slot has brought somebody here
        return seat + result.matched_count  # cancelled or moved away meanwhile: the seat is still to be had
    return end_of_round  # never reached: capacities end far below a round's numbers


async def _let_go(holders: Sequence[Mapping[str, Any]]) -> None:
    """Ends the appointments' hold on the seats that they have left, now that blocks have them."""
    updates = []
    for holder in holders:
        where = {key: holder[key] for key in ("_id", "slot_id", "reserved_seat")}
        moved_on = {"active": True, "seat": {"$ne": holder["reserved_seat"]}}
        updates.append(UpdateOne({**where, **moved_on}, [{"$set": {"reserved_seat": "$seat"}}]))
    for start in range(0, len(updates), _AT_ONCE):
        some = updates[start : start + _AT_ONCE]
        await SeatClaim.get_pymongo_collection().bulk_write(some, ordered=False)


async def booked(query: Mapping[str, Any]) -> list[SeatClaim]:
    """The active appointments that a query finds, by start: the list that a withdrawal answers with."""
    found = SeatClaim.find({**query, "active": True, "patient_id": {"$exists": True}})
    return await found.sort("start", "_id").to_list()


async def booked_between(query: Mapping[str, Any], *, start: datetime, end: datetime) -> list[SeatClaim]:
    """The active appointments that a query finds and that share a moment with a stretch of time (UTC)."""
    return await booked({**query, "start": {"$lt": end}, "end": {"$gt": start}})
