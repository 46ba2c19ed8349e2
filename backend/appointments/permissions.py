"""Who acts on appointments, which ones they may see, and which slots they may book."""

from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import ActorRole, Appointment, HistoryEntry
from backend.appointments.errors import OutsideYourScope
from backend.scheduling.access import clinics_of
from backend.scheduling.slots.capacity import BookableSlot


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a transition, as the history names them."""

    role: ActorRole
    name: str
    user_id: PydanticObjectId | None = None

    @classmethod
    def of(cls, user: User) -> "Actor":
        """A user who is logged in, or who replies from a known phone."""
        return cls(role=ActorRole(user.role.value), name=user.name, user_id=user.user_id)

    def history_entry(self, **what: Any) -> HistoryEntry:
        """Returns a history entry made by this actor. `what` holds the remaining fields."""
        return HistoryEntry(by=self.user_id, by_name=self.name, by_role=self.role, **what)


SYSTEM = Actor(role=ActorRole.SYSTEM, name="system")


def visible_to(user: User) -> dict[str, Any]:
    """The filter for the appointments a user may see: their own, those of their clinics (nurses), or all (admins)."""
    match user.role:
        case Role.PATIENT:
            return {"patient_id": user.user_id}
        case Role.DOCTOR:
            return {"doctor_id": user.user_id}
        case Role.NURSE:
            return {"clinic_id": {"$in": clinics_of(user)}}
        case Role.ADMIN:
            return {"patient_id": {"$exists": True}}


def cache_scope(user: User) -> frozenset[PydanticObjectId | str]:
    """The ids whose changes invalidate what `visible_to` finds; for administrators, the whole collection."""
    match user.role:
        case Role.PATIENT | Role.DOCTOR:
            return frozenset([user.user_id])
        case Role.NURSE:
            return frozenset(clinics_of(user))
        case Role.ADMIN:
            return frozenset([Appointment.Settings.name])


def check_may_book(user: User, slot: BookableSlot) -> None:
    """Raises `OutsideYourScope` unless the user may book this slot: doctors their own, nurses their clinics'."""
    is_others = user.role is Role.DOCTOR and slot.doctor_id != user.user_id
    if is_others or (user.role is Role.NURSE and slot.clinic_id not in clinics_of(user)):
        raise OutsideYourScope
