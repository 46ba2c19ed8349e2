"""Accounts: what administrators may do with all of them, and everybody with their own."""

from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository
from backend.accounts.documents import Role, User
from backend.accounts.errors import DoctorNeedsProfile, OwnAccount, PhoneRequired, UseDoctorsRoute, WrongRole
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.repository import delete_sessions
from backend.accounts.profiles import NurseProfile
from backend.accounts.schemas import NewUser, OwnChanges, UserChanges
from backend.accounts.user_search import search_filter
from backend.accounts.users import clinics_assigned, create_user, deactivate_user, find_user, update_user
from backend.core.http.pagination import PageRequest

_NOT_IN_LISTS = dict.fromkeys(
    ("password_hash", "sessions", "search_words", "pending_patient", "doctor.weekly_hours"), 0
)


async def list_users(
    *, role: Role | None, is_active: bool | None, q: str | None, page: PageRequest
) -> tuple[list[User], str | None]:
    """Returns a page of accounts by name, and the cursor of the next page."""
    conditions: list[dict[str, Any]] = []
    if role is not None:
        conditions.append({"role": role})
    if is_active is not None:
        conditions.append({"is_active": is_active})
    if q is not None:
        conditions.append(search_filter(q))
    return await repository.find_by_name(conditions, page, fields=_NOT_IN_LISTS)


async def add_user(body: NewUser) -> User:
    """Creates an account. Raises `DoctorNeedsProfile`, `WrongRole`, `EmailTaken`."""
    if body.role is Role.DOCTOR:
        raise DoctorNeedsProfile
    has_clinics = "clinic_ids" in body.model_fields_set
    if has_clinics and body.role is not Role.NURSE:
        raise WrongRole
    user = User(**body.model_dump(exclude={"password", "clinic_ids"}))
    if has_clinics:
        user.nurse = NurseProfile(clinic_ids=_distinct(body.clinic_ids))
    return await create_user(user, password=body.password.get_secret_value())


async def change_user(
    caller: User, user_id: PydanticObjectId, body: UserChanges, *, version: int | None = None
) -> User:
    """Changes an account for an administrator. A new password closes all its sessions in the same write.

    Raises `UserNotFound`, `OwnAccount`, `UseDoctorsRoute`, `WrongRole`, `PhoneRequired`, and what
    `users.update_user` raises.
    """
    user = await find_user(user_id)
    changes = {name: getattr(body, name) for name in body.model_fields_set - {"password", "clinic_ids"}}
    if "is_active" in changes and user.role is Role.DOCTOR:
        raise UseDoctorsRoute
    _refuse_losing_phone(user, changes)
    if "clinic_ids" in body.model_fields_set:
        if user.role is not Role.NURSE:
            raise WrongRole
        changes["nurse.clinic_ids"] = _distinct(body.clinic_ids)
        await clinics_assigned.send(changes["nurse.clinic_ids"])
    if "password" not in body.model_fields_set:
        return await update_user(user_id, changes, version=version)
    if user_id == caller.user_id:
        raise OwnAccount("Change your own password with POST /users/me/password.")
    changes["password_hash"] = await hash_password(body.password.get_secret_value())
    changes["sessions"] = []
    changed = await update_user(user_id, changes, version=version)
    await delete_sessions(user_id)
    return changed


async def remove_user(caller: User, user_id: PydanticObjectId) -> None:
    """Deactivates an account. Raises `UserNotFound`, `OwnAccount`, `UseDoctorsRoute`, `LastAdmin`."""
    if user_id == caller.user_id:
        raise OwnAccount
    user = await find_user(user_id)
    if user.role is Role.DOCTOR:
        raise UseDoctorsRoute
    await deactivate_user(user_id)


async def change_own_account(caller: User, body: OwnChanges, *, version: int | None = None) -> User:
    """Changes the caller's account. Raises `PhoneRequired`, and what `users.update_user` raises."""
    changes = body.model_dump(exclude_unset=True)
    _refuse_losing_phone(caller, changes)
    return await update_user(caller.user_id, changes, version=version)


def _refuse_losing_phone(user: User, changes: dict[str, Any]) -> None:
    if user.role is Role.PATIENT and changes.get("phone", user) is None:
        raise PhoneRequired


def _distinct(ids: list[PydanticObjectId]) -> list[PydanticObjectId]:
    return list(dict.fromkeys(ids))
