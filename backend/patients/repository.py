"""Every query and update of patients. Those of links are in `links/repository.py`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.core.clock import utc_now
from backend.core.http.pagination import PageRequest, page_by_name
from backend.core.mongo.updates import changes
from backend.patients.documents import Patient
from backend.patients.search import Way

Document = dict[str, Any]
Filter = Mapping[str, Any]

MERGE_FIELDS = ("merged_into", "merged.id", "absorbing")


def _patients() -> AsyncCollection[Document]:
    return Patient.get_pymongo_collection()


async def insert(patient: Patient) -> None:
    """Inserts a patient."""
    await patient.insert()


async def insert_once(patient: Patient) -> None:
    """Inserts a patient with an id of the caller's choice. If they are there already, nothing changes."""
    fields = patient.model_dump(exclude={"id"}, exclude_none=True)
    await _patients().update_one({"_id": patient.id}, {"$setOnInsert": fields}, upsert=True)


async def find(where: Filter) -> Patient | None:
    """Returns the patient who matches a filter."""
    raw = await _patients().find_one(where)
    return None if raw is None else Patient.model_validate(raw)


def lookup_of_patient(patient_id: PydanticObjectId, *, name: str) -> Document:
    """Returns the `$lookup` that reads name and activity of a patient, for another collection's aggregation."""
    # By id alone: with more in the filter, the server might try a slower index.
    patient = [{"$match": {"_id": patient_id}}, {"$project": {"name": 1, "is_active": 1}}]
    return {"$lookup": {"from": Patient.Settings.name, "pipeline": patient, "as": name}}


async def find_active_by_phone(phone: str) -> list[Patient]:
    """Returns the active patients with this phone number (E.164), the longest known first."""
    found = _patients().find({"phone": phone, "is_active": True}, sort=[("_id", 1)], limit=20)
    return [Patient.model_validate(raw) async for raw in found]


async def find_with(*, date_of_birth: str | None, phone: str | None) -> list[Patient]:
    """Returns active patients with this date of birth (`YYYY-MM-DD`) or this phone (E.164); at most 500."""
    either = [{field: value} for field, value in (("phone", phone), ("date_of_birth", date_of_birth)) if value]
    found = _patients().find({"$or": either, "is_active": True}, limit=500)
    return [Patient.model_validate(raw) async for raw in found]


async def find_by_phones(phones: Collection[str]) -> dict[str, list[PydanticObjectId]]:
    """Returns the active patients with each of these phone numbers (E.164)."""
    found: dict[str, list[PydanticObjectId]] = {}
    async for row in _patients().find({"phone": {"$in": list(phones)}, "is_active": True}, {"phone": 1}):
        found.setdefault(row["phone"], []).append(row["_id"])
    return found


async def find_by_name(
    conditions: Sequence[Filter],
    page: PageRequest,
    *,
    fields: Mapping[str, int],
    index: Sequence[tuple[str, int]] | None = None,
) -> tuple[list[Patient], str | None]:
    """Returns a page of the patients who meet all conditions, by name, and the cursor of the next page.

    `index` is the index to use, if it is known.
    """
    rows, next_cursor = await page_by_name(_patients(), conditions, page, projection=fields, index=index)
    return [Patient.model_validate(row) for row in rows], next_cursor


async def find_in_ways(
    conditions: Sequence[Filter], ways: Sequence[Way], page: PageRequest, *, fields: Mapping[str, int]
) -> tuple[list[Patient], str | None]:
    """Returns a page of the patients who meet all conditions and are found in any of the ways, like `find_by_name`.

    The index of a way is used where there is no condition but the first: others may have a better one.
    """
    pages = [
        await find_by_name(
            [*conditions, way.where], page, fields=fields, index=way.index if len(conditions) == 1 else None
        )
        for way in ways
    ]
    found = {patient.patient_id: patient for patients, _ in pages for patient in patients}
    by_name = sorted(found.values(), key=lambda patient: (patient.name_key, patient.patient_id))
    if len(by_name) > page.limit:
        return page.cut(by_name[: page.limit + 1], lambda patient: (patient.patient_id,))
    return by_name, next((cursor for _, cursor in pages if cursor), None)


async def find_contacts(patient_ids: Sequence[PydanticObjectId]) -> Sequence[Document]:
    """Returns what is needed to send patients a message: phone and language."""
    fields = ("phone", "language", "is_active", "inactive_reason")
    return await _patients().find({"_id": {"$in": patient_ids}}, dict.fromkeys(fields, 1)).to_list()


@dataclass(frozen=True, slots=True)
class MergeMarks:
    """Into which record a record was merged, and which were merged, or are being merged, into it."""

    patient_id: PydanticObjectId
    merged_into: PydanticObjectId | None
    absorbed: Sequence[PydanticObjectId]


async def find_merge_marks(patient_id: PydanticObjectId) -> MergeMarks:
    """Returns what merges have noted on a record; nothing if there is no such record."""
    found = await _patients().find_one({"_id": patient_id}, dict.fromkeys(MERGE_FIELDS, 1)) or {}
    return MergeMarks(patient_id, found.get("merged_into"), absorbed_by(found))


def absorbed_by(patient: Document) -> Sequence[PydanticObjectId]:
    """Returns the records that were or are being merged into a stored one, which was read with `MERGE_FIELDS`."""
    return list(dict.fromkeys([*(each["id"] for each in patient.get("merged", ())), *patient.get("absorbing", ())]))


async def update(patient_id: PydanticObjectId, fields: Filter, *, where: Filter) -> Patient | None:
    """Updates a patient who matches a filter and returns them as they are then. None removes a field."""
    raw = await _patients().find_one_and_update(
        {**where, "_id": patient_id},
        {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else Patient.model_validate(raw)
