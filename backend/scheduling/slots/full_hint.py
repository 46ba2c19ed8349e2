"""The hint that a slot is full. Searches skip slots with the hint without counting their seats.

The hint never decides. A full slot without it is counted and left out like any other. Only a slot with the hint *and*
a free seat would be wrong, because searches wouldn't show it. Two rules prevent that:

- Before a search sets the hint, it announces this on the slot (`marking`), makes the slot's appointments clear the
  hint when they give their seat back (`clears_full_hint`), and counts again, only those appointments. If they fill
  the slot, it sets the hint, unless `marking` has gone meanwhile (`mark_full`).
- Whatever frees a seat removes hint and `marking` in the same write, or after it and before the response:
  `clear_hints_of_day` for an appointment that has to, as its own write finds. Opening a slot, and a new limit of a
  doctor's day, do so in the same write.

So a seat that becomes free while its slot is being marked is counted as free, or removes `marking` before the hint is
set, or the hint after it. A leftover `marking` has no effect. For all other appointments giving a seat back stays one
write. A process that dies before it clears the hint leaves a wrong one, which `repair_full_hints` clears.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from beanie import PydanticObjectId
from pymongo.errors import PyMongoError

from backend.core import metrics
from backend.core.clock import utc_now
from backend.core.http.pagination import behind
from backend.scheduling.documents import SEARCH_INDEXES, SHORT, SHORT_INDEX
from backend.scheduling.repository import Row, set_clears_full_hint
from backend.scheduling.slots import search_repository
from backend.scheduling.slots.capacity import bookable_by_staff, limited_days, with_free_seats
from backend.scheduling.slots.length_hint import find_wrong
from backend.scheduling.slots.repository import clear_hints

log = logging.getLogger(__name__)

PER_RUN = 5000
"""Hints that one run of the job checks. A wrong one lasts at most a minute for each so many that there are."""

_AT_ONCE = 500


async def mark_full(slots: Sequence[Row]) -> None:
    """Sets the hint on slots that were found full. A failure of the database is logged and otherwise ignored."""
    if not slots:
        return
    slot_ids, marking = [slot["_id"] for slot in slots], PydanticObjectId()
    try:
        await search_repository.announce_marking(slot_ids, marking)
        await set_clears_full_hint(slot_ids, limited_days(slots))
        announced = await search_repository.find_announced(slot_ids, marking)
        counted = await with_free_seats(announced, clears_full_hint=True)
        full = [slot.id for slot in counted if not slot.free]
        count = await search_repository.mark_announced(full, marking, {"known_full": True})
        metrics.slot_hints_set.labels("full").inc(count)
    except PyMongoError as error:
        log.warning("full slots were not all marked: %s", type(error).__name__)


@dataclass
class _Check:
    """The check of all hints of one kind, and how far this process has come in it."""

    kind: str
    hint: Row
    index: search_repository.Index
    find_wrong: Callable[[Sequence[Row]], Awaitable[Sequence[Row]]]
    last: tuple[datetime, PydanticObjectId] | None = None  # start and id of the slot, or None at the beginning

    async def go_on(self) -> int:
        """Checks the next hints and clears those that are wrong. Returns how many were."""
        count = 0
        for _ in range(PER_RUN // _AT_ONCE):
            position = behind(self.last, "start", "_id") if self.last else {}
            where = {"$and": [bookable_by_staff(utc_now()), position]}
            slots = await search_repository.find_hinted(self.hint, where, limit=_AT_ONCE, index=self.index)
            if wrong := await self.find_wrong(slots):
                count += await clear_hints([slot["_id"] for slot in wrong])
            if len(slots) < _AT_ONCE:
                self.last = None
                break
            self.last = (slots[-1]["start"], slots[-1]["_id"])
        metrics.slot_hints_repaired.labels(self.kind).inc(count)
        return count


async def _find_not_full(slots: Sequence[Row]) -> Sequence[Row]:
    # A seat counts as free too if the appointment on it wouldn't clear the hint.
    return [slot.stored for slot in await with_free_seats(slots, clears_full_hint=True) if slot.free]


_CHECKS = (
    _Check("full", {"known_full": True}, SEARCH_INDEXES[frozenset()], _find_not_full),
    _Check("length", SHORT, SHORT_INDEX, find_wrong),
)


async def repair_full_hints() -> int:
    """Checks the next hints, full ones and short ones, and clears those that are wrong. Returns how many were."""
    return sum([await check.go_on() for check in _CHECKS])
