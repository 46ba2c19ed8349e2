"""What callers may see of the directory, as MongoDB filters."""

from typing import Any

from backend.accounts.documents import Role, User


def is_staff(viewer: User | None) -> bool:
    """Returns whether the viewer is logged in and not a patient."""
    return viewer is not None and viewer.role is not Role.PATIENT


def visible_to(viewer: User | None) -> dict[str, Any]:
    """Returns the filter for clinics, departments and doctors: only staff see inactive ones."""
    return {} if is_staff(viewer) else {"is_active": True}


def patients_visible_to(caller: User) -> dict[str, Any]:
    """Returns the filter for patients: staff see all, patients only themselves."""
    return {} if is_staff(caller) else {"_id": caller.user_id}
