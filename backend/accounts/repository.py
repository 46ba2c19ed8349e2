"""Every query and update of users. Sessions, codes and failed logins are in `login/repository.py`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import MOST_SESSIONS, Role, User
from backend.accounts.errors import duplicate_error
from backend.core.clock import EPOCH, utc_now
from backend.core.http.pagination import PageRequest, page_by_name
from backend.core.mongo.batching import reads_by_id
from backend.core.mongo.updates import changes

Document = dict[str, Any]
Filter = Mapping[str, Any]
T = TypeVar("T")

_TRIES = 20


def _users() -> AsyncCollection[Document]:
    return User.get_pymongo_collection()


_reads = reads_by_id(_users)


# Reading


async def load(user_id: PydanticObjectId) -> Document | None:
    """Returns a stored user. Reads of the same moment share one command."""
    return await _reads.load(user_id)


async def find(where: Filter) -> User | None:
    """Returns the user who matches a filter."""
    raw = await _users().find_one(where)
    return None if raw is None else User.model_validate(raw)


async def find_by_phone(phone: str) -> User | None:
    """Returns the active account that proved a phone (E.164), or else the only one that claims it."""
    if (owner := await find({"verified_phone": phone, "is_active": True})) is not None:
        return owner
    claims = await _users().find({"phone": phone, "is_active": True}, limit=2).to_list()
    return User.model_validate(claims[0]) if len(claims) == 1 else None


async def exists(where: Filter) -> bool:
    """Returns whether a user matches a filter."""
    return await _users().find_one(where, projection={"_id": 1}) is not None


async def find_by_name(
    conditions: Sequence[Filter], page: PageRequest, *, fields: Mapping[str, int]
) -> tuple[list[User], str | None]:
    """Returns a page of the users who meet all conditions, by name, and the cursor of the next page."""
    rows, next_cursor = await page_by_name(_users(), conditions, page, projection=fields)
    return [User.model_validate(row) for row in rows], next_cursor


async def has_other_admin(user_id: PydanticObjectId) -> bool:
    """Returns whether there is an active administrator besides this user."""
    return await exists({"role": Role.ADMIN, "is_active": True, "_id": {"$ne": user_id}})


async def find_contacts(user_ids: Sequence[PydanticObjectId]) -> Sequence[Document]:
    """Returns what is needed to send users a message: phone and language."""
    fields = ("phone", "language", "is_active")
    return await _users().find({"_id": {"$in": user_ids}}, dict.fromkeys(fields, 1)).to_list()


async def find_pending_patients(*, since: datetime, limit: int) -> list[User]:
    """Returns accounts whose own patient record was due to be written before a moment, and isn't noted as written."""
    left = {"pending_patient.since": {"$gt": EPOCH, "$lte": since}}
    return [User.model_validate(raw) async for raw in _users().find(left, limit=limit)]


# Changing


async def insert(user: User) -> None:
    """Inserts a user. Raises `EmailTaken`, `LicenseTaken`."""
    try:
        await user.insert()
    except DuplicateKeyError as error:
        raise duplicate_error(error) from None


async def update(user_id: PydanticObjectId, fields: Filter, *, where: Filter) -> User | None:
    """Updates a user who matches a filter and returns them as they are then. None removes a field.

    Raises `EmailTaken`, `LicenseTaken`.
    """
    try:
        return await _edit({**where, "_id": user_id}, fields)
    except DuplicateKeyError as error:
        raise duplicate_error(error) from None


async def _edit(where: Filter, fields: Filter) -> User | None:
    raw = await _users().find_one_and_update(
        where,
        {**changes({**fields, "updated_at": utc_now()}), "$inc": {"version": 1}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else User.model_validate(raw)


async def mark_phone_verified(user_id: PydanticObjectId, phone: str) -> User | None:
    """Records that a user has verified their phone; None if it is no longer this one.

    The account that had proved it before loses it.
    """
    where = {"_id": user_id, "phone": phone}
    return await _hand_over(phone, user_id, lambda: _edit(where, {"verified_phone": phone}))


async def _hand_over(phone: str, to: PydanticObjectId, write: Callable[[], Awaitable[T]]) -> T:
    """Takes a phone that was proved just now from the account that had proved it before, then makes the write.

    Of two accounts that prove it at once, the later one has it.
    """
    others = {"verified_phone": phone, "is_active": True, "_id": {"$ne": to}}
    for _ in range(_TRIES):
        await _users().update_many(others, {"$unset": {"verified_phone": ""}, "$set": {"updated_at": utc_now()}})
        try:
            return await write()
        except DuplicateKeyError:
            continue
    return await write()


async def deactivate(user_id: PydanticObjectId) -> User | None:
    """Makes a user inactive, removes all their sessions, and frees the phone that they had proved."""
    return await _edit({"_id": user_id}, {"is_active": False, "sessions": [], "verified_phone": None})


async def undo_deactivation(user_id: PydanticObjectId) -> None:
    """Makes a user active again; their sessions stay closed."""
    await _users().update_one({"_id": user_id}, {"$set": {"is_active": True}})


async def remove_pending_patient(user_id: PydanticObjectId) -> None:
    """Notes that an account's own patient record is written."""
    await _users().update_one({"_id": user_id}, {"$unset": {"pending_patient": ""}})


async def set_doctor_search_words(
    doctor_id: PydanticObjectId, words: Sequence[str], *, name: str, specialty: str
) -> None:
    """Stores the words that a doctor is found by, if name and specialty are still these."""
    await _users().update_one(
        {"_id": doctor_id, "name": name, "doctor.specialty": specialty},
        {"$set": {"doctor.search_words": words}},
    )


# Sessions and passwords. An access token is valid only while its session's id is in the user's `sessions`.


async def add_session(user: User, session_id: str, *, now: datetime) -> bool:
    """Adds a session to an active user whose password hash is as it was read; returns whether it did."""
    added = await _users().update_one(
        {"_id": user.user_id, "is_active": True, "password_hash": user.password_hash},
        {
            "$push": {"sessions": {"$each": [session_id], "$slice": -MOST_SESSIONS}},
            "$set": {"last_login": now},
        },
    )
    return bool(added.matched_count)


async def has_session(user_id: PydanticObjectId, session_id: str) -> bool:
    """Returns whether an active user has this session."""
    return await exists({"_id": user_id, "is_active": True, "sessions": session_id})


async def remove_session(user_id: PydanticObjectId, session_id: str) -> None:
    """Removes one session."""
    await _users().update_one({"_id": user_id}, {"$pull": {"sessions": session_id}})


async def remove_other_sessions(user_id: PydanticObjectId, except_sid: str | None) -> None:
    """Removes all sessions but one."""
    others: Document = {"$ne": except_sid}
    await _users().update_one({"_id": user_id}, {"$pull": {"sessions": others}})


async def rehash_password(user_id: PydanticObjectId, *, old_hash: str, new_hash: str) -> User | None:
    """Replaces the hash of an unchanged password; None if the password was changed meanwhile."""
    raw = await _users().find_one_and_update(
        {"_id": user_id, "password_hash": old_hash},
        {"$set": {"password_hash": new_hash}},
        return_document=ReturnDocument.AFTER,
    )
    return None if raw is None else User.model_validate(raw)


async def change_password(user: User, new_hash: str, *, session_id: str) -> bool:
    """Sets a new password and removes the other sessions; returns whether it did.

    It doesn't if the password was changed, or this session removed, since the user was read.
    """
    changed = await _users().update_one(
        {"_id": user.user_id, "password_hash": user.password_hash, "sessions": session_id},
        {"$set": {"password_hash": new_hash, "sessions": [session_id], "updated_at": utc_now()}},
    )
    return bool(changed.matched_count)


async def reset_password(user: User, new_hash: str) -> bool:
    """Sets a new password, removes all sessions and marks the phone as verified; returns whether it did.

    It doesn't if the user was deactivated, or their phone changed, since they were read.
    """
    phone = user.phone
    if phone is None:
        return False
    new = {"password_hash": new_hash, "sessions": [], "verified_phone": phone, "updated_at": utc_now()}
    where = {"_id": user.user_id, "is_active": True, "phone": phone}
    changed = await _hand_over(phone, user.user_id, lambda: _users().update_one(where, {"$set": new}))
    return bool(changed.matched_count)
