"""Slots that are known to be full: a hint on the slot by which searches pass it over without counting its seats.

The hint never decides. A full slot without it is counted and left out, as any; only a slot with a free seat and the
hint would be wrong, for a search wouldn't show it. Two rules keep that from happening:

- Who is about to set the hint says so on the slot (`marking`), then has those who hold the slot tell of it
  (`clears_full_hint`), and counts once more, and only those who will tell. Where they fill the slot it is given
  the hint, unless `marking` has gone meanwhile (`mark`).
- Who makes room takes hint and `marking` away after, or in, the write that makes it, and before it is answered:
  `seat_given_back` for an appointment that has to tell, as its own write finds; opening a slot, and new limits of a
  doctor's day, write it with the rest.

So a seat that is given back while its slot is being marked is counted as free, or takes `marking` away before the
hint is set, or the hint after it. A `marking` that is left behind says nothing to anybody. For all others giving a
seat back stays one write. A process that dies before it takes the hint away leaves a wrong one to
`repair_full_hints`, a job that goes over all hints, some thousand a minute.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId
from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from backend.core.clock import utc_now
from backend.core.http.pagination import behind
from backend.scheduling.documents import Slot
from backend.scheduling.slots import seats
from backend.scheduling.slots.capacity import READ, Stored, bookable, with_free_seats

log = logging.getLogger(__name__)

PER_RUN = 5000
"""Hints that one run of the job looks at: a wrong one lasts a minute at most for each so many that there are."""

_AT_ONCE = 500
_LONGEST_DAY = timedelta(hours=25)


async def mark(slots: Sequence[Stored]) -> None:
    """Has searches pass over slots that were found full. If the database fails meanwhile, it is left at that."""
    if not slots:
        return
    these, mine = {"_id": {"$in": [slot["_id"] for slot in slots]}}, {"marking": ObjectId()}
    try:
        await _slots().update_many({**these, "known_full": False}, {"$set": mine})
        await seats.have_holders_tell(slots)
        still = await _slots().find({**these, **mine}, READ, batch_size=len(slots)).to_list()
        counted = await with_free_seats(still, clears_full_hint=True)
        full = {"_id": {"$in": [slot.slot_id for slot in counted if not slot.free]}}
        await _slots().update_many(
            {**full, **mine}, {"$set": {"known_full": True}, "$unset": {"marking": ""}}
        )
    except PyMongoError as error:
        log.warning("full slots were not marked to the end: %s", type(error).__name__)


async def seat_given_back(*, doctor_id: PydanticObjectId, day: str, start: datetime) -> None:
    """Has searches look again at a doctor's day. To be called after the write by which an appointment that
    `clears_full_hint` gives its seat back.

    `start` is that of the seat's slot (UTC). The whole day: the seat may have been the last of a limited number.
    """
    near = {"$gt": start - _LONGEST_DAY, "$lt": start + _LONGEST_DAY}
    await _slots().update_many(
        {
            **{"doctor_id": doctor_id, "is_active": True, "known_full": {"$in": [True, False]}},
            **{"start": near, "day": day, "$or": [{"known_full": True}, {"marking": {"$exists": True}}]},
        },
        {"$set": {"known_full": False}, "$unset": {"marking": ""}},
    )


class _Round:
    """How far this process has come in looking through all hints, by start; None at the beginning."""

    behind: tuple[datetime, PydanticObjectId] | None = None


async def repair_full_hints() -> int:
    """Checks the next hints and clears those that are wrong. Returns how many were.

    A process that dies between freeing a seat and clearing the hint leaves a wrong one.
    """
    wrong = 0
    for _ in range(PER_RUN // _AT_ONCE):
        position = behind(_Round.behind, "start", "_id") if _Round.behind else {}
        query = {"$and": [{**bookable(utc_now()), "known_full": True}, position]}
        found = _slots().find(
            query, READ, sort=[("start", 1), ("_id", 1)], limit=_AT_ONCE, batch_size=_AT_ONCE
        )
        slots = await found.to_list()
        wrong += await _offer_those_with_room(slots)
        is_end = len(slots) < _AT_ONCE
        _Round.behind = None if is_end else (slots[-1]["start"], slots[-1]["_id"])
        if is_end:
            break
    return wrong


async def _offer_those_with_room(slots: Sequence[Stored]) -> int:
    """Takes the hint back from slots with a seat that is free, or whose holder wouldn't tell."""
    counted = await with_free_seats(slots, clears_full_hint=True)
    with_room = [slot.slot_id for slot in counted if slot.free]
    if not with_room:
        return 0
    result = await _slots().update_many(
        {"_id": {"$in": with_room}, "known_full": True}, {"$set": {"known_full": False}}
    )
    return result.modified_count


def _slots() -> AsyncCollection[dict[str, Any]]:
    return Slot.get_pymongo_collection()
