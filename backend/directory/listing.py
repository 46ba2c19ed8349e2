"""Who sees what is out of use."""

from typing import Any

from backend.accounts.documents import Role, User


def is_staff(viewer: User | None) -> bool:
    """Whether somebody (or nobody) sees what is not for the public."""
    return viewer is not None and viewer.role is not Role.PATIENT


def visible_to(viewer: User | None) -> dict[str, Any]:
    """The filter for what somebody may see: what is deactivated is for the staff."""
    return {} if is_staff(viewer) else {"is_active": True}
