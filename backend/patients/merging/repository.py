"""Every query and update of merges, and of the marks that they leave on patients and links."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.updates import changes
from backend.patients.documents import MergedRecord, Patient, PatientLink
from backend.patients.merging.documents import Merge, MergeState

Document = dict[str, Any]
Filter = Mapping[str, Any]


def _merges() -> AsyncCollection[Document]:
    return Merge.get_pymongo_collection()


def _patients() -> AsyncCollection[Document]:
    return Patient.get_pymongo_collection()


def _links() -> AsyncCollection[Document]:
    return PatientLink.get_pymongo_collection()


# Merges


async def insert(merge: Merge) -> bool:
    """Stores a merge that begins; returns whether the other record had no current one."""
    try:
        await merge.insert()
    except DuplicateKeyError:
        return False
    return True


async def delete(merge: Merge) -> None:
    """Deletes a merge that was refused before anything moved."""
    await _merges().delete_one({"_id": merge.id, "state": MergeState.BEGUN})


async def find_current(other_id: PydanticObjectId) -> Merge | None:
    """Returns the merge that a record is or was merged by, unless it was undone."""
    raw = await _merges().find_one({"other_id": other_id, "is_current": True})
    return None if raw is None else Merge.model_validate(raw)


async def claim_due(now: datetime, *, again_at: datetime) -> Merge | None:
    """Claims a merge that is due, until `again_at`; None if there is none."""
    raw = await _merges().find_one_and_update(
        {"due_at": {"$gt": EPOCH, "$lte": now}}, {"$set": {"due_at": again_at}}, return_document=ReturnDocument.AFTER
    )
    return None if raw is None else Merge.model_validate(raw)


async def set_state(merge: Merge, state: MergeState, *, due_at: datetime | None) -> Merge | None:
    """Brings a merge from the state that was read to another one; None if somebody else did."""
    raw = await _merges().find_one_and_update(
        {"_id": merge.id, "state": merge.state},
        changes({"state": state, "is_current": state is not MergeState.UNDONE, "due_at": due_at}),
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else Merge.model_validate(raw)


async def make_due(*, other_id: PydanticObjectId, at: datetime) -> None:
    """Makes the job look at a record's merge: something has arrived at the record since."""
    await _merges().update_one({"other_id": other_id, "is_current": True}, {"$set": {"due_at": at}})


async def set_fields(merge: Merge, *, before: Filter, given: Filter) -> None:
    """Records which fields of the survivor a merge changes, before it does."""
    await _merges().update_one({"_id": merge.id}, {"$set": {"fields_before": before, "fields_given": given}})


# Marks on the two records


async def absorb(survivor_id: PydanticObjectId, other_id: PydanticObjectId) -> bool:
    """Marks the survivor first; returns whether it is active, and not merged itself."""
    is_ready = {"$or": [{"is_active": True}, {"absorbing": other_id}]}
    return await hold(survivor_id, other_id, where=is_ready)


async def hold(survivor_id: PydanticObjectId, other_id: PydanticObjectId, *, where: Filter | None = None) -> bool:
    """Keeps a record from being merged itself until `release`; returns False if it was."""
    found = {**(where or {}), "_id": survivor_id, "merged_into": None}
    return bool((await _patients().update_one(found, {"$addToSet": {"absorbing": other_id}})).matched_count)


async def let_go(survivor_id: PydanticObjectId, other_id: PydanticObjectId) -> None:
    """Takes back `absorb`."""
    await _patients().update_one({"_id": survivor_id}, {"$pull": {"absorbing": other_id}})


async def give_up(other_id: PydanticObjectId, survivor_id: PydanticObjectId) -> bool:
    """Marks the other record as merged; returns False if it absorbs another one or was merged elsewhere.

    The new version refuses an edit that had read the record before.
    """
    unmarked = {"_id": other_id, "merged_into": None, "absorbing.0": {"$exists": False}}
    marks = {"merged_into": survivor_id, "active_before_merge": "$is_active", "is_active": False}
    update = [{"$set": {**marks, "version": {"$add": ["$version", 1]}, "updated_at": utc_now()}}]
    if (await _patients().update_one(unmarked, update)).matched_count:
        return True
    return await _patients().find_one({"_id": other_id, "merged_into": survivor_id}, {"_id": 1}) is not None


async def separate(other_id: PydanticObjectId, survivor_id: PydanticObjectId) -> None:
    """Makes a merged record what it was before, active or not."""
    before = {"is_active": {"$ifNull": ["$active_before_merge", True]}, "version": {"$add": ["$version", 1]}}
    update: list[Filter] = [
        {"$set": {**before, "updated_at": utc_now()}},
        {"$unset": ["merged_into", "active_before_merge"]},
    ]
    await _patients().update_one({"_id": other_id, "merged_into": survivor_id}, update)


async def complete(survivor: Patient, fields: Filter, *, merged: MergedRecord) -> Patient | None:
    """Writes the survivor's fields and notes the merge, if the survivor is as it was read and absorbs the other."""
    update: Document = changes({**fields, "updated_at": utc_now()})
    update |= {"$pull": {"absorbing": merged.id}, "$push": {"merged": merged.model_dump()}, "$inc": {"version": 1}}
    return await _update_held(survivor, merged.id, update)


async def release(survivor: Patient, fields: Filter, *, other_id: PydanticObjectId) -> Patient | None:
    """Writes the survivor's fields as before the merge and removes its note, if the survivor is as it was read."""
    update: Document = changes({**fields, "updated_at": utc_now()})
    update |= {"$pull": {"absorbing": other_id, "merged": {"id": other_id}}, "$inc": {"version": 1}}
    return await _update_held(survivor, other_id, update)


async def _update_held(survivor: Patient, other_id: PydanticObjectId, update: Filter) -> Patient | None:
    raw = await _patients().find_one_and_update(
        {"_id": survivor.id, "version": survivor.version, "absorbing": other_id},
        update,
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else Patient.model_validate(raw)


# Links


async def find_links(*patient_ids: PydanticObjectId) -> list[PatientLink]:
    """Returns the links of some patients, oldest first."""
    found = _links().find({"patient_id": {"$in": patient_ids}}, sort=[("_id", 1)])
    return [PatientLink.model_validate(raw) async for raw in found]


async def remove_links(merge: Merge, links: Iterable[PatientLink]) -> None:
    """Deletes links, after the merge has kept a copy of each."""
    for link in links:
        kept = {"$push": {"links_removed": link.model_dump(exclude_none=True)}}
        await _merges().update_one({"_id": merge.id, "links_removed.id": {"$ne": link.id}}, kept)
        await _links().delete_one({"_id": link.id})


async def move_link(link: PatientLink, *, to: PydanticObjectId) -> bool:
    """Moves a link to another patient; returns False if the account got a link there meanwhile."""
    update = {"$set": {"patient_id": to}, "$push": {"merged_from": link.patient_id}}
    return await _move_link({"_id": link.id, "patient_id": link.patient_id}, update)


async def move_link_back(link: PatientLink, *, to: PydanticObjectId) -> bool:
    """Moves a link back to where a merge had taken it from; returns False if the account got one there meanwhile."""
    where = {"_id": link.id, "patient_id": link.patient_id, "merged_from": to}
    return await _move_link(where, {"$set": {"patient_id": to}, "$pull": {"merged_from": to}})


async def _move_link(where: Filter, update: Filter) -> bool:
    try:
        return bool((await _links().update_one(where, update)).modified_count)
    except DuplicateKeyError:
        return False


async def restore_links(merge: Merge) -> None:
    """Inserts the links that a merge had deleted, once; not those whose account got another one meanwhile."""
    stored = await _merges().find_one({"_id": merge.id}, {"links_removed": 1})
    for link in (stored or {}).get("links_removed", []):
        with suppress(DuplicateKeyError):
            await _links().insert_one({"_id": link["id"], **{name: link[name] for name in link if name != "id"}})
        await _merges().update_one({"_id": merge.id}, {"$pull": {"links_removed": {"id": link["id"]}}})
