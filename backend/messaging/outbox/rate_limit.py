"""The sender's pace: so many messages a second for all processes together, as carriers ask of a number."""

from typing import Any

from beanie import Document
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.core.clock import utc_now
from backend.core.settings import settings


class SenderPace(Document):
    """What a sender has used of a second."""

    id: str  # type: ignore[assignment]  # Beanie's way of another id type
    second: int
    used: int

    class Settings:
        name = "sender_paces"


async def take(wanted: int) -> int:
    """Takes up to so many messages out of the present second; answers how many may be sent in it.

    One write for a whole batch. What is taken and not used is lost, never saved up.
    """
    most = settings.SMS_PER_SECOND
    if most == 0 or not settings.has_carrier:
        return wanted
    sender = settings.TWILIO_MESSAGING_SERVICE_SID or settings.TWILIO_PHONE_NUMBER
    second = int(utc_now().timestamp())
    used = {"$cond": [{"$eq": ["$second", second]}, "$used", 0]}
    update = [{"$set": {"used": {"$min": [most, {"$add": [used, wanted]}]}, "second": second}}]
    try:
        before = await _write(sender, update)
    except DuplicateKeyError:  # two processes made the document at once: now it is there
        before = await _write(sender, update)
    used_before = before["used"] if before and before["second"] == second else 0
    return max(0, min(wanted, most - used_before))


async def _write(sender: str, update: list[dict[str, Any]]) -> Any:
    return await SenderPace.get_pymongo_collection().find_one_and_update(
        {"_id": sender}, update, upsert=True, return_document=ReturnDocument.BEFORE
    )
