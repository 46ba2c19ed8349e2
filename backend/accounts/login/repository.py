"""Every query and update of sessions, codes and failed logins."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import LoginFailures, OneTimeCode, Session
from backend.core.clock import utc_now

Document = dict[str, Any]

MOST_USED_HASHES = 200
"""Used tokens that a session recognises: four days of two refreshes an hour. An older one is just invalid."""


def _sessions() -> AsyncCollection[Document]:
    return Session.get_pymongo_collection()


def _codes() -> AsyncCollection[Document]:
    return OneTimeCode.get_pymongo_collection()


def _failures() -> AsyncCollection[Document]:
    return LoginFailures.get_pymongo_collection()


# Sessions


async def insert_session(session: Session) -> None:
    """Inserts a session."""
    await session.insert()


async def rotate_token(
    session_id: str, *, token_hash: str, new_hash: str, expires_at: datetime
) -> PydanticObjectId | None:
    """Replaces the refresh token of a session that hasn't expired; returns the session's user.

    None unless `token_hash` is that of the session's present token: of two at once, one gets None.
    """
    raw = await _sessions().find_one_and_update(
        {"_id": session_id, "token_hash": token_hash, "expires_at": {"$gt": utc_now()}},
        {
            "$set": {"token_hash": new_hash, "expires_at": expires_at},
            "$push": {"used_hashes": {"$each": [token_hash], "$slice": -MOST_USED_HASHES}},
        },
        projection={"user_id": 1},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else PydanticObjectId(raw["user_id"])


async def find_user_of_used_token(session_id: str, token_hash: str) -> PydanticObjectId | None:
    """Returns the user of a session, if this was one of its tokens before."""
    raw = await _sessions().find_one({"_id": session_id, "used_hashes": token_hash}, projection={"user_id": 1})
    return None if raw is None else raw["user_id"]


async def delete_session(session_id: str, *, user_id: PydanticObjectId) -> None:
    """Deletes a session of a user."""
    await _sessions().delete_one({"_id": session_id, "user_id": user_id})


async def delete_sessions(user_id: PydanticObjectId, *, except_sid: str | None = None) -> None:
    """Deletes a user's sessions, but for one."""
    await _sessions().delete_many({"user_id": user_id, "_id": {"$ne": except_sid}})


# Codes by SMS


async def replace_code(
    key: str,
    new: Mapping[str, Any],
    *,
    conditions: Sequence[Mapping[str, Any]],
    now: datetime,
    most_issues: int,
) -> bool:
    """Stores a new code in place of the one before, if that meets the conditions; returns whether it did.

    `now` is added to the times of the last codes, of which `most_issues` are kept.
    """
    try:
        await _codes().update_one(
            {"_id": key, "$and": conditions},
            {"$set": new, "$push": {"issues": {"$each": [now], "$slice": -most_issues}}},
            upsert=True,
        )
    except DuplicateKeyError:  # there is one, and it doesn't meet the conditions
        return False
    return True


async def find_code(key: str) -> Document | None:
    """Returns the stored code of a user and purpose."""
    return await _codes().find_one({"_id": key})


async def try_code(key: str, *, phone_hash: str, code_hash: str) -> str | None:
    """Uses one try of a valid code and returns the right code's hash; None if there is no valid code.

    The right code uses all tries. It is one write: of two right ones at once, only the first finds the code unused.
    """
    is_right = {"$eq": ["$code_hash", code_hash]}
    before = await _codes().find_one_and_update(
        {"_id": key, "phone_hash": phone_hash, "tries_left": {"$gt": 0}, "valid_until": {"$gt": utc_now()}},
        [{"$set": {"tries_left": {"$cond": [is_right, 0, {"$subtract": ["$tries_left", 1]}]}}}],
        projection={"code_hash": 1},
    )
    return None if before is None else before["code_hash"]


# Failed logins


async def find_failures(key: str, *, at_least: int) -> Document | None:
    """Returns the counter of a window that isn't over, if it counts at least so many failures."""
    return await _failures().find_one({"_id": key, "failures": {"$gte": at_least}, "expires_at": {"$gt": utc_now()}})


async def count_failure(key: str, *, now: datetime, window_ends: datetime) -> Document:
    """Counts a failure and returns the counter. After the end of a window it begins a new one."""
    # The TTL monitor is up to a minute late, and goes by the server's clock: what is over is decided here.
    is_running = {"$gt": ["$expires_at", now]}
    update = [
        {
            "$set": {
                "failures": {"$cond": [is_running, {"$add": ["$failures", 1]}, 1]},
                "expires_at": {"$cond": [is_running, "$expires_at", window_ends]},
            }
        }
    ]
    try:
        return await _upsert_failures(key, update)
    except DuplicateKeyError:  # the first two failures at once: now the counter is there
        return await _upsert_failures(key, update)


async def delete_failures(key: str) -> None:
    """Deletes a counter."""
    await _failures().delete_one({"_id": key})


async def _upsert_failures(key: str, update: list[Document]) -> Document:
    counter: Document | None = await _failures().find_one_and_update(
        {"_id": key}, update, upsert=True, return_document=ReturnDocument.AFTER
    )
    assert counter is not None  # noqa: S101 - it is an upsert
    return counter
