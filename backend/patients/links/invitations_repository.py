"""Every query and update of invitations."""

from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection

from backend.core.clock import utc_now
from backend.patients.documents import Invitation, Relation


def _invitations() -> AsyncCollection[dict[str, Any]]:
    return Invitation.get_pymongo_collection()


async def replace(
    patient_id: PydanticObjectId,
    *,
    code_hash: str,
    relation: Relation,
    created_by: PydanticObjectId,
    expires_at: datetime,
) -> None:
    """Stores an invitation in place of the patient's last one."""
    new = {"code_hash": code_hash, "relation": relation, "created_by": created_by, "expires_at": expires_at}
    await _invitations().update_one({"_id": patient_id}, {"$set": new, "$unset": {"used_by": ""}}, upsert=True)


async def use(code_hash: str, *, user_id: PydanticObjectId) -> Invitation | None:
    """Uses a valid invitation for an account and returns it; None if there is none, or another account used it."""
    raw = await _invitations().find_one_and_update(
        {"code_hash": code_hash, "expires_at": {"$gt": utc_now()}, "used_by": {"$in": [None, user_id]}},
        {"$set": {"used_by": user_id}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else Invitation.model_validate(raw)
