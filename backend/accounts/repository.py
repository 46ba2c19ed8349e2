"""Every query and update of accounts."""

from collections.abc import Sequence
from typing import Any

from beanie import PydanticObjectId
from pymongo.asynchronous.collection import AsyncCollection

from backend.accounts.documents import User
from backend.core.clock import utc_now


def _users() -> AsyncCollection[dict[str, Any]]:
    return User.get_pymongo_collection()


async def find_contacts(user_ids: Sequence[PydanticObjectId]) -> Sequence[dict[str, Any]]:
    """Returns what is needed to send users a message: phone, language, opt-out."""
    fields = ("phone", "language", "sms_opted_out", "is_active")
    return await _users().find({"_id": {"$in": user_ids}}, dict.fromkeys(fields, 1)).to_list()


async def find_active_by_phone(phone: str) -> User | None:
    """Returns the active user with this phone number (E.164)."""
    return await User.find_one({"phone": phone, "is_active": True})


async def set_sms_opted_out(user_id: PydanticObjectId, opted_out: bool) -> None:
    """Records that a user opted out of messages, or in again."""
    await _users().update_one(
        {"_id": user_id}, {"$set": {"sms_opted_out": opted_out, "updated_at": utc_now()}}
    )


async def mark_opted_out_at_carrier(user_id: PydanticObjectId) -> None:
    """Records that the carrier refuses messages to a user, because they opted out there."""
    await _users().update_one({"_id": user_id}, {"$set": {"sms_opted_out": True}})
