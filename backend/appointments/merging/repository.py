"""Queries and updates of appointments that go from one record of a patient to another."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.appointments.documents import Appointment
from backend.core.clock import utc_now
from backend.core.mongo.updates import changes
from backend.scheduling.decisions.documents import CauseKind, DecisionCause

Row = dict[str, Any]

_FIELDS = dict.fromkeys(
    (
        *("start", "end", "ticks", "active", "status", "time_zone", "doctor_name", "clinic_name", "created_at"),
        *("visit_type_id", "open_number", "merged_from"),
    ),
    1,
)
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_BY_MERGE = {"kind": CauseKind.MERGE}


def _appointments() -> AsyncCollection[Row]:
    return Appointment.get_pymongo_collection()


async def find_of_patient(patient_id: PydanticObjectId, **where: Any) -> Sequence[Row]:
    """Returns all appointments of a patient that meet a filter, by start."""
    found = _appointments().find({"patient_id": patient_id, "start": {"$gte": _BEGINNING}, **where}, _FIELDS)
    return await found.sort([("start", 1), ("_id", 1)]).to_list()


async def move(
    row: Row, *, source: PydanticObjectId, to: PydanticObjectId, name: str, is_undo: bool, open_number: int | None
) -> bool:
    """Gives an appointment to another record, if it still is the first one's with the same open number.

    Raises `DuplicateKeyError` if that record has an active appointment at the time, or one with this open number.
    """
    update: Row = changes({"patient_id": to, "patient_name": name, "updated_at": utc_now()})
    update |= {"$inc": {"version": 1}, "$pull": {"needs_decision": _BY_MERGE}}
    if open_number is not None:
        update["$set"]["open_number"] = open_number
    if is_undo:
        update["$pull"]["merged_from"] = to
    else:
        update["$push"] = {"merged_from": source}
    where = {"_id": row["_id"], "patient_id": source, "open_number": row.get("open_number")}
    return bool((await _appointments().update_one(where, update)).modified_count)


async def mark_conflict(row: Row, *, source: PydanticObjectId, to: PydanticObjectId) -> None:
    """Marks an active appointment that can't move as needing a decision, unless it is marked or was kept."""
    cause = DecisionCause(kind=CauseKind.MERGE, id=to, since=utc_now())
    same = {"$not": {"$elemMatch": {**_BY_MERGE, "id": to}}}
    where: Mapping[str, Any] = {"patient_id": source, "active": True, "needs_decision": same, "kept_despite": same}
    update = {
        "$push": {"needs_decision": cause.model_dump(exclude_none=True)},
        "$inc": {"version": 1},
        "$set": {"updated_at": utc_now()},
    }
    await _appointments().update_one({"_id": row["_id"], **where}, update)
