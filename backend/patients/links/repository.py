"""Every query and update of the links between accounts and patients."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import User
from backend.core.clock import EPOCH, utc_now
from backend.core.mongo.batching import Batcher
from backend.core.mongo.updates import breaks_index_on
from backend.patients.documents import OF_MINORS, Patient, PatientLink, Relation, Verification
from backend.patients.errors import LinkExists, SelfLinkExists
from backend.patients.repository import MERGE_FIELDS

Document = dict[str, Any]

_MOST_LISTED = 100
_IN_LINKS = dict.fromkeys(("name", "date_of_birth", "is_active", *MERGE_FIELDS), 1)


def _links() -> AsyncCollection[Document]:
    return PatientLink.get_pymongo_collection()


async def insert_once(link: PatientLink) -> None:
    """Inserts a link with an id of the caller's choice. If it is there already, nothing changes."""
    fields = link.model_dump(exclude={"id"}, exclude_none=True)
    await _links().update_one({"_id": link.id}, {"$setOnInsert": fields}, upsert=True)


async def load_of_user(user_id: PydanticObjectId) -> Sequence[Document]:
    """Returns an account's links, oldest first, each with its `patient`. Reads of one moment share a command."""
    return await _of_users.load(user_id)


def lookups_of_links(user_ids: Collection[PydanticObjectId]) -> list[Document]:
    """Returns the stages that add the links of accounts, and their patients, to an aggregation of one document.

    `linked_in` returns what they found. All patients are read at once: a read for each would take the server three
    times as long.
    """
    of_users = [{"$match": {"user_id": {"$in": list(user_ids)}}}]
    return [{"$lookup": {"from": PatientLink.Settings.name, "pipeline": of_users, "as": "links"}}, _PATIENTS]


_PATIENTS: Document = {
    "$lookup": {
        "from": Patient.Settings.name,
        "localField": "links.patient_id",
        "foreignField": "_id",
        "pipeline": [{"$project": _IN_LINKS}],
        "as": "patients",
    }
}


def linked_in(found: Mapping[str, Any], user_id: PydanticObjectId) -> list[Document]:
    """Returns an account's links, oldest first, each with its `patient`: of what `lookups_of_links` found."""
    patients = {patient["_id"]: patient for patient in found["patients"]}
    links = [
        {**link, "patient": patients[link["patient_id"]]}
        for link in found["links"]
        if link["user_id"] == user_id and link["patient_id"] in patients
    ]
    # Sorted here: for the sake of a `$sort`, the server may read the whole collection by its ids.
    links.sort(key=lambda link: link["_id"])
    return links


async def _read_of_users(user_ids: Sequence[PydanticObjectId]) -> Sequence[Sequence[Document]]:
    of_users = {"$match": {"user_id": {"$in": list(set(user_ids))}}}
    together = {"$group": {"_id": None, "links": {"$push": "$$ROOT"}}}
    found = await (await _links().aggregate([of_users, together, _PATIENTS])).to_list()
    return [linked_in(found[0], user_id) if found else [] for user_id in user_ids]


_of_users: Batcher[PydanticObjectId, Sequence[Document]] = Batcher("patient_links", _read_of_users)


async def find_of_patient(patient_id: PydanticObjectId) -> Sequence[Document]:
    """Returns the links of a patient, oldest first, each with its `user`."""
    user = {
        "from": User.Settings.name,
        "localField": "user_id",
        "foreignField": "_id",
        "pipeline": [{"$project": dict.fromkeys(("name", "email", "phone", "verified_phone", "is_active"), 1)}],
        "as": "user",
    }
    pipeline: list[Document] = [
        {"$match": {"patient_id": patient_id}},
        {"$sort": {"_id": 1}},
        {"$limit": _MOST_LISTED},
        {"$lookup": user},
        {"$unwind": "$user"},
    ]
    return await (await _links().aggregate(pipeline)).to_list()


async def insert(link: PatientLink) -> None:
    """Inserts a link. Raises `LinkExists` and `SelfLinkExists` if a unique index refuses it."""
    try:
        await link.insert()
    except DuplicateKeyError as error:
        if breaks_index_on(error, "relation"):
            raise SelfLinkExists from None
        raise LinkExists from None


async def delete(link_id: PydanticObjectId, *, patient_id: PydanticObjectId) -> bool:
    """Deletes a link of a patient; returns whether there was one."""
    return bool((await _links().delete_one({"_id": link_id, "patient_id": patient_id})).deleted_count)


async def count_of_user(user_id: PydanticObjectId, *, limit: int) -> int:
    """Returns for how many patients an account acts, but no more than `limit`."""
    return await _links().count_documents({"user_id": user_id}, limit=limit)


async def find_patients_of(patient_ids: Sequence[PydanticObjectId]) -> set[PydanticObjectId]:
    """Returns the patients for whom the own accounts of some patients act."""
    own = _links().find({"patient_id": {"$in": patient_ids}, "relation": Relation.SELF}, {"user_id": 1})
    users = [row["user_id"] async for row in own]
    found = _links().find({"user_id": {"$in": users}, "relation": {"$ne": Relation.SELF}}, {"patient_id": 1})
    return {row["patient_id"] async for row in found}


async def find_own(user_id: PydanticObjectId) -> PatientLink | None:
    """Returns the link between an account and the patient who owns it."""
    raw = await _links().find_one({"user_id": user_id, "relation": Relation.SELF})
    return None if raw is None else PatientLink.model_validate(raw)


async def set_verified(link_id: PydanticObjectId, *, verified_by: Verification) -> None:
    """Records how it was proved that an account is a patient's own, now that it is another record's."""
    await _links().update_one({"_id": link_id}, {"$set": {"verified_by": verified_by, "since": utc_now()}})


async def find_pending(*, since: datetime, limit: int) -> list[PatientLink]:
    """Returns links whose record was due to be written before a moment, and isn't noted as written."""
    left = _links().find({"pending.since": {"$gt": EPOCH, "$lte": since}}, limit=limit)
    return [PatientLink.model_validate(raw) async for raw in left]


async def remove_pending(link_id: PydanticObjectId) -> None:
    """Notes that the record of a new dependant is written."""
    await _links().update_one({"_id": link_id}, {"$unset": {"pending": ""}})


async def find_patients_born_by(last_day: str, *, limit: int) -> list[PydanticObjectId]:
    """Returns patients born by a day (`YYYY-MM-DD`), for whom a parent or guardian acts without a review."""
    of_age = {"child_born": {"$gt": "", "$lte": last_day}, "reviewed_at": None}
    found = _links().find(of_age, {"patient_id": 1}, sort=[("child_born", -1)], limit=limit)
    return list({row["patient_id"]: None async for row in found})


async def set_date_of_birth(patient_id: PydanticObjectId, born: str | None) -> None:
    """Copies a patient's new date of birth to the links of parents and guardians."""
    change = {"$unset": {"child_born": ""}} if born is None else {"$set": {"child_born": born}}
    await _links().update_many({"patient_id": patient_id, "relation": {"$in": list(OF_MINORS)}}, change)


async def set_reviewed(link_id: PydanticObjectId, *, patient_id: PydanticObjectId) -> bool:
    """Records that a link stays though the patient has come of age; returns whether there is such a link."""
    reviewed = {"$set": {"reviewed_at": utc_now()}}
    return bool((await _links().update_one({"_id": link_id, "patient_id": patient_id}, reviewed)).matched_count)
