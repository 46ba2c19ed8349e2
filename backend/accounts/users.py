"""Creating, finding, changing and deactivating accounts of every role.

Callers decide who may do so; the rules of administrators' routes are in `administration`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId
from pydantic import BaseModel, TypeAdapter, ValidationError

from backend.accounts import repository
from backend.accounts.documents import Role, User
from backend.accounts.errors import DoctorNeedsProfile, LastAdmin, UserNotFound
from backend.accounts.fields import Email, Phone
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.repository import delete_sessions
from backend.accounts.profiles import NurseProfile, PendingPatient
from backend.core.events import Signal
from backend.core.http.errors import EditConflict
from backend.core.mongo.text_search import fold, words_of


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """An account before and after a change of name, e-mail, phone or language."""

    before: User
    after: User


user_renamed: Signal[User] = Signal()
"""Sent after a user's name has changed."""

contacts_changed: Signal[ContactsChanged] = Signal()
"""Sent after an account's name, e-mail, phone or language has changed."""

patient_pending: Signal[User] = Signal()
"""Sent after an account was created whose own patient record is still to be written."""

clinics_assigned: Signal[list[PydanticObjectId]] = Signal()
"""Sent before these clinics are assigned to a nurse. A handler raises `UnknownClinic` for one that isn't active."""

user_deactivated: Signal[User] = Signal()
"""Sent after each request to deactivate a user, though they may have been inactive already."""

_IDENTITY = ("name", "email", "phone")
"""The fields that `search_words` is derived from."""

_TRIES = 10

_email: TypeAdapter[str] = TypeAdapter(Email)
_phone: TypeAdapter[str] = TypeAdapter(Phone)


async def create_user(user: User, *, password: str | None = None) -> User:
    """Stores a new account, with the profile of its role; a patient's gets a patient record of its own.

    Without a password (or its hash) nobody can log in.

    Raises `EmailTaken`, `LicenseTaken`, `DoctorNeedsProfile`.
    """
    if user.role is Role.DOCTOR and user.doctor is None:
        raise DoctorNeedsProfile
    if user.role is Role.PATIENT:
        user.pending_patient = user.pending_patient or PendingPatient()
    if user.role is Role.NURSE:
        user.nurse = user.nurse or NurseProfile()
    if user.nurse and user.nurse.clinic_ids:
        await clinics_assigned.send(user.nurse.clinic_ids)
    if password is not None:
        user.password_hash = await hash_password(password)
    user.updated_at = user.created_at
    user.name_key = fold(user.name)
    user.search_words = words_of(user.name, user.email, user.phone)
    await repository.insert(user)
    if user.pending_patient is not None:
        await patient_pending.send(user)
    return user


async def find_user(user_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """Returns the user who also matches `where` (a MongoDB filter). Raises `UserNotFound`."""
    user = await repository.find({**(where or {}), "_id": user_id})
    if user is None:
        raise UserNotFound
    return user


async def find_by_login(login: str) -> User | None:
    """Returns the active account with this e-mail address or phone, in any notation.

    A phone is the account's that proved it. If none did, it is that of the only account that claims it.
    """
    try:
        if "@" in login:
            return await repository.find({"email": _email.validate_python(login.strip()), "is_active": True})
        return await repository.find_by_phone(_phone.validate_python(login))
    except ValidationError:
        return None


async def update_user(
    user_id: PydanticObjectId,
    changes: Mapping[str, Any],
    *,
    where: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> User:
    """Changes fields of a user in one write, by their stored names (`nurse.clinic_ids`); None removes a field.

    It updates the search words, marks a new phone as not verified, and sends `contacts_changed` and `user_renamed`.
    Raises `UserNotFound`
    (also if the user doesn't match `where`), `EmailTaken`, `LicenseTaken`, and `EditConflict` if the
    user has another `version`.
    """
    conditions = {**(where or {}), **({} if version is None else {"version": version})}
    for _ in range(_TRIES):
        old = await find_user(user_id, where=where)
        if version not in (None, old.version):
            raise EditConflict
        unchanged = {field: getattr(old, field) for field in _IDENTITY}
        user = await repository.update(user_id, _with_derived(old, changes), where={**conditions, **unchanged})
        if user is not None:
            break
    else:
        raise EditConflict
    if any(getattr(user, field) != getattr(old, field) for field in (*_IDENTITY, "language")):
        await contacts_changed.send(ContactsChanged(before=old, after=user))
    if user.name != old.name:
        await user_renamed.send(user)
    return user


def _with_derived(old: User, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the changes as they are stored, with the fields that depend on name, e-mail and phone."""
    new = {field: _stored(value) for field, value in changes.items()}
    if any(field in new for field in _IDENTITY):
        new["search_words"] = words_of(*(new.get(field, getattr(old, field)) for field in _IDENTITY))
    if "name" in new:
        new["name_key"] = fold(new["name"])
    if "phone" in new and new["phone"] != old.phone:
        new["verified_phone"] = None
    return new


def _stored(value: Any) -> Any:
    """Returns a value as it is stored: embedded models without their empty fields."""
    if isinstance(value, BaseModel):
        return value.model_dump(exclude_none=True)
    if isinstance(value, list):
        return [_stored(item) for item in value]
    return value


async def deactivate_user(user_id: PydanticObjectId, *, where: Mapping[str, Any] | None = None) -> User:
    """Deactivates a user, closes all their sessions and sends `user_deactivated`. It may be repeated.

    Raises `UserNotFound`, and `LastAdmin` for the only active administrator.
    """
    user = await find_user(user_id, where=where)
    if user.role is Role.ADMIN and not await repository.has_other_admin(user_id):
        raise LastAdmin
    deactivated = await repository.deactivate(user_id)
    if deactivated is None:
        raise UserNotFound
    await delete_sessions(user_id)
    if user.role is Role.ADMIN and not await repository.has_other_admin(user_id):
        # Two administrators have deactivated each other at once. The later one is undone.
        await repository.undo_deactivation(user_id)
        raise LastAdmin
    await user_deactivated.send(deactivated)
    return deactivated
