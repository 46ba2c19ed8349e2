"""Making, changing, deactivating and finding users of every role, for the directory and the seed script too.

Who may do so is decided by the callers; the rules of administrators' routes are in `administration`.
"""

from collections.abc import Mapping
from typing import Any

from beanie import PydanticObjectId
from pydantic import BaseModel, TypeAdapter, ValidationError
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Language, Role, User
from backend.accounts.errors import (
    DoctorNeedsProfile,
    LastAdmin,
    UserNotFound,
    duplicate_error,
)
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.sessions import forget_sessions
from backend.accounts.profiles import DoctorProfile, NurseProfile, PatientProfile
from backend.core.clock import utc_now
from backend.core.events import Signal
from backend.core.http.errors import EditConflict
from backend.core.http.fields import Email, Phone
from backend.core.mongo.text_search import words_of
from backend.core.mongo.updates import changes as as_update

user_renamed: Signal[User] = Signal()
"""Sent after a change of name, with the user as it is now."""

clinics_assigned: Signal[list[PydanticObjectId]] = Signal()
"""Sent before a nurse is given these clinics. A handler raises `UnknownClinic` if one can't be given."""

user_deactivated: Signal[User] = Signal()
"""Sent after an account was ended, each time that is asked for: a handler may find its work done."""

_IDENTITY = ("name", "email", "phone")
"""The fields that search words are made of."""

_TRIES = 10

_email: TypeAdapter[str] = TypeAdapter(Email)
_phone: TypeAdapter[str] = TypeAdapter(Phone)


async def create_user(
    *,
    name: str,
    role: Role,
    email: str | None = None,
    phone: str | None = None,
    password: str | None = None,
    password_hash: str | None = None,
    language: Language | None = None,
    photo_url: str | None = None,
    patient: PatientProfile | None = None,
    doctor: DoctorProfile | None = None,
    nurse: NurseProfile | None = None,
    is_verified: bool = False,
) -> User:
    """Stores a new active user. `phone` is E.164; without a password (or its hash) there is no logging in.

    Raises `EmailTaken`, `PhoneTaken`, `LicenseTaken`, and `DoctorNeedsProfile`.
    """
    if role is Role.DOCTOR and doctor is None:
        raise DoctorNeedsProfile
    if nurse is not None and nurse.clinic_ids:
        await clinics_assigned.send(nurse.clinic_ids)
    if password is not None:
        password_hash = await hash_password(password)
    now = utc_now()
    user = User(
        name=name,
        role=role,
        email=email.lower() if email else None,
        phone=phone or None,
        password_hash=password_hash,
        language=language,
        photo_url=photo_url,
        is_verified=is_verified,
        patient=(patient or PatientProfile()) if role is Role.PATIENT else None,
        doctor=doctor if role is Role.DOCTOR else None,
        nurse=(nurse or NurseProfile()) if role is Role.NURSE else None,
        created_at=now,
        updated_at=now,
    )
    user.search_words = user.find_words()
    try:
        await user.insert()
    except DuplicateKeyError as error:
        raise duplicate_error(error) from None
    return user


async def find_user(user_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """The user, if `where` (a MongoDB filter, as `{"role": "patient"}`) is met too; raises `UserNotFound`."""
    raw = await _users().find_one({**(where or {}), "_id": user_id})
    if raw is None:
        raise UserNotFound
    return _read(raw)


async def find_by_login(login: str) -> User | None:
    """The user, active or not, who has this e-mail address or phone, in any notation."""
    try:
        if "@" in login:
            wanted = {"email": _email.validate_python(login.strip())}
        else:
            wanted = {"phone": _phone.validate_python(login)}
    except ValidationError:
        return None
    raw = await _users().find_one(wanted)
    return None if raw is None else _read(raw)


async def update_user(
    user_id: PydanticObjectId, changes: Mapping[str, Any], *, where: Mapping[str, Any] | None = None
) -> User:
    """Changes fields in one write, by their stored names (`name`, `patient.address`); None removes a field.

    Keeps search words, and forgets that a phone was verified when it changes. Tells `user_renamed`. Raises
    `UserNotFound` unless the user meets `where` too, and `EmailTaken`, `PhoneTaken`, `LicenseTaken`.
    """
    for _ in range(_TRIES):
        old = await find_user(user_id, where=where)
        unchanged = {"_id": user_id, **{field: getattr(old, field) for field in _IDENTITY}}
        try:
            raw = await _users().find_one_and_update(
                {**(where or {}), **unchanged},
                _update(old, changes),
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError as error:
            raise duplicate_error(error) from None
        if raw is not None:
            break
    else:
        raise EditConflict
    user = _read(raw)
    if user.name != old.name:
        await user_renamed.send(user)
    return user


def _update(old: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The update document. It holds only if name, e-mail and phone are still those of `old`."""
    new = {field: _stored(value) for field, value in changes.items()}
    if any(field in new for field in _IDENTITY):
        new["search_words"] = words_of(*(new.get(field, getattr(old, field)) for field in _IDENTITY))
    if "phone" in new and new["phone"] != old.phone:
        new["is_verified"] = False
    return as_update({**new, "updated_at": utc_now()})


def _stored(value: Any) -> Any:
    """A value as documents hold it: embedded models without their empty fields."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, list):
        return [_stored(item) for item in value]
    return value


async def deactivate_user(user_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """Ends the account and all its logins at once. Doing it again changes nothing.

    Raises `UserNotFound`, and `LastAdmin` when nobody could administer any more. What else hangs on the user,
    such as a doctor's time, is the caller's.
    """
    user = await find_user(user_id, where=where)
    if user.role is Role.ADMIN and not await _has_other_admin(user_id):
        raise LastAdmin
    raw = await _users().find_one_and_update(
        {"_id": user_id},
        {"$set": {"is_active": False, "sessions": [], "updated_at": utc_now()}},
        return_document=ReturnDocument.AFTER,
    )
    await forget_sessions(user_id)
    if user.role is Role.ADMIN and not await _has_other_admin(user_id):
        # Two administrators have deactivated each other at once. Whoever comes last undoes it.
        await _users().update_one({"_id": user_id}, {"$set": {"is_active": True}})
        raise LastAdmin
    user = _read(raw)
    await user_deactivated.send(user)
    return user


async def _has_other_admin(user_id: PydanticObjectId) -> bool:
    other = {"role": Role.ADMIN, "is_active": True, "_id": {"$ne": user_id}}
    return await _users().find_one(other, projection={"_id": 1}) is not None


def _read(raw: Mapping[str, Any]) -> User:
    user: User = User.model_validate(raw)
    return user


def _users() -> Any:
    return User.get_pymongo_collection()
