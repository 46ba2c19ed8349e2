"""What administrators do with accounts, and what everybody may do with the own one."""

from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.accounts.errors import (
    DoctorNeedsProfile,
    OwnAccount,
    PhoneRequired,
    UseDoctorsRoute,
    WrongRole,
)
from backend.accounts.login.passwords import hash_password
from backend.accounts.login.sessions import forget_sessions
from backend.accounts.profiles import NurseProfile
from backend.accounts.schemas import NewUser, OwnChanges, UserChanges
from backend.accounts.user_search import found_by
from backend.accounts.users import clinics_assigned, create_user, deactivate_user, find_user, update_user
from backend.core.http.pagination import PageRequest, page_by_name

_SHOWN = {"password_hash": 0, "sessions": 0, "search_words": 0, "patient": 0, "doctor.weekly_hours": 0}


async def list_users(
    *, role: Role | None, is_active: bool | None, q: str | None, page: PageRequest
) -> tuple[list[User], str | None]:
    """Returns a page of accounts by name, and the cursor of the next page."""
    wanted: dict[str, Any] = {}
    if role is not None:
        wanted["role"] = role
    if is_active is not None:
        wanted["is_active"] = is_active
    if q is not None:
        wanted.update(found_by(q))
    rows, next_cursor = await page_by_name(User.get_pymongo_collection(), [wanted], page, projection=_SHOWN)
    return [User.model_validate(raw) for raw in rows], next_cursor


async def add_user(body: NewUser) -> User:
    """Makes an account; raises `DoctorNeedsProfile`, `WrongRole`, `EmailTaken`, `PhoneTaken`."""
    if body.role is Role.DOCTOR:
        raise DoctorNeedsProfile
    has_clinics = "clinic_ids" in body.model_fields_set
    if has_clinics and body.role is not Role.NURSE:
        raise WrongRole
    return await create_user(
        name=body.name,
        role=body.role,
        email=body.email,
        phone=body.phone,
        password=body.password.get_secret_value() if body.password else None,
        language=body.language,
        nurse=NurseProfile(clinic_ids=_distinct(body.clinic_ids)) if has_clinics else None,
    )


async def change_user(caller: User, user_id: PydanticObjectId, body: UserChanges) -> User:
    """Changes an account for an administrator; a new password ends all its logins in the same write.

    Raises `UserNotFound`, `OwnAccount`, `UseDoctorsRoute`, `WrongRole`, `PhoneRequired`, and what
    `service.update_user` raises.
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
    if body.new_password is None:
        return await update_user(user_id, changes)
    if user_id == caller.user_id:
        raise OwnAccount("Change your own password with POST /users/me/password.")
    changes["password_hash"] = await hash_password(body.new_password.get_secret_value())
    changes["sessions"] = []
    changed = await update_user(user_id, changes)
    await forget_sessions(user_id)
    return changed


async def remove_user(caller: User, user_id: PydanticObjectId) -> None:
    """Deactivates an account; raises `UserNotFound`, `OwnAccount`, `UseDoctorsRoute`, `LastAdmin`."""
    if user_id == caller.user_id:
        raise OwnAccount
    user = await find_user(user_id)
    if user.role is Role.DOCTOR:
        raise UseDoctorsRoute
    await deactivate_user(user_id)


async def change_own_account(caller: User, body: OwnChanges) -> User:
    """Changes the caller's account; raises `WrongRole`, `PhoneRequired`, `EmailTaken`, `PhoneTaken`."""
    profile = body.profile_changes()
    if profile and caller.role is not Role.PATIENT:
        raise WrongRole
    own = ("name", "email", "phone", "language", "photo_url")
    changes = {name: getattr(body, name) for name in own if name in body.model_fields_set}
    _refuse_losing_phone(caller, changes)
    return await update_user(caller.user_id, {**changes, **profile})


def _refuse_losing_phone(user: User, changes: dict[str, Any]) -> None:
    if user.role is Role.PATIENT and changes.get("phone", user) is None:
        raise PhoneRequired


def _distinct(ids: list[PydanticObjectId]) -> list[PydanticObjectId]:
    return list(dict.fromkeys(ids))
