"""Every query and update of withdrawals, and of the marks that these leave on appointments.

A mark changes an appointment's `version`: a transition that had read it without the mark is refused.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from backend.core.clock import EPOCH, utc_now
from backend.scheduling.decisions.documents import CauseKind, DecisionCause, Withdrawal
from backend.scheduling.documents import SeatClaim
from backend.scheduling.repository import batches

_AT_ONCE = 500

_IS_MARKED = {"needs_decision.since": {"$gt": EPOCH}}
"""Served by an index that holds marked appointments only."""


def _claims() -> AsyncCollection[dict[str, Any]]:
    return SeatClaim.get_pymongo_collection()


async def insert(withdrawal: Withdrawal) -> None:
    """Stores a withdrawal that begins."""
    await withdrawal.insert()


async def delete(withdrawal: Withdrawal) -> None:
    """Deletes a withdrawal that is finished."""
    await Withdrawal.find({"_id": withdrawal.id}).delete()


async def claim_due(now: datetime, *, again_at: datetime) -> Withdrawal | None:
    """Claims a withdrawal that its process left unfinished, until `again_at`; None if there is none."""
    update = {"$set": {"due_at": again_at}}
    raw = await Withdrawal.get_pymongo_collection().find_one_and_update({"due_at": {"$lte": now}}, update)
    return None if raw is None else Withdrawal.model_validate(raw)


async def mark(appointments: Iterable[SeatClaim], cause: DecisionCause, *, only_unmarked: bool = False) -> None:
    """Marks appointments as needing a decision, if they are active and still at that time.

    It leaves out those that have this cause, or were kept in spite of it; with `only_unmarked`, those with any cause
    that withdrew their time.
    """
    same = {"kind": cause.kind, "id": cause.id}
    without: dict[str, Any] = {field: {"$not": {"$elemMatch": same}} for field in ("needs_decision", "kept_despite")}
    if only_unmarked:
        withdrawn = {"$elemMatch": {"kind": {"$ne": CauseKind.MERGE}}}
        without = {field: {"$not": withdrawn} for field in without}
    update = {
        "$push": {"needs_decision": cause.model_dump(exclude_none=True)},
        "$inc": {"version": 1},
        "$set": {"updated_at": utc_now()},
    }
    updates = [
        UpdateOne({"_id": each.id, "active": True, **_place_of(each), **without}, update) for each in appointments
    ]
    for batch in batches(updates, _AT_ONCE):
        await _claims().bulk_write(batch, ordered=False)


def _place_of(appointment: SeatClaim) -> Mapping[str, Any]:
    return {name: getattr(appointment, name) for name in ("doctor_id", "clinic_id", "start")}


async def clear(cause: DecisionCause) -> None:
    """Removes the marks of a cause that is no longer in force."""
    same = {"kind": cause.kind, "id": cause.id}
    await _clear({"needs_decision": {"$elemMatch": same}}, {"needs_decision": same})


async def clear_without_slot(appointment_ids: Iterable[PydanticObjectId]) -> None:
    """Removes the marks of appointments that had lost their slot and have it back."""
    kinds = {"kind": {"$in": [CauseKind.HOURS, CauseKind.SLOT]}}
    marked = {"_id": {"$in": list(appointment_ids)}, "needs_decision": {"$elemMatch": kinds}}
    await _clear(marked, {"needs_decision": kinds})


async def _clear(where: Mapping[str, Any], pull: Mapping[str, Any]) -> None:
    update = {"$pull": pull, "$inc": {"version": 1}, "$set": {"updated_at": utc_now()}}
    await _claims().update_many({**_IS_MARKED, **where}, update)


async def find_marked_without_slot(whose: Mapping[str, Any]) -> list[SeatClaim]:
    """Returns the coming appointments that are marked because they lost their slot."""
    kinds = {"kind": {"$in": [CauseKind.HOURS, CauseKind.SLOT]}}
    where = {**_IS_MARKED, **whose, "needs_decision": {"$elemMatch": kinds}, "start": {"$gt": utc_now()}}
    return await SeatClaim.find({**where, "active": True}).to_list()
