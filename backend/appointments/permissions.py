"""Who acts on an appointment, and which appointments are in the actor's sight."""

from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import ActorRole, Appointment, HistoryEntry
from backend.scheduling.access import clinics_of


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does a step, as the history names him."""

    role: ActorRole
    name: str
    user_id: PydanticObjectId | None = None

    @classmethod
    def of(cls, user: User) -> "Actor":
        """Somebody who is logged in (or answers from a known phone)."""
        return cls(role=ActorRole(user.role.value), name=user.name, user_id=user.user_id)

    def history_entry(self, **what: Any) -> HistoryEntry:
        """A line of the history."""
        return HistoryEntry(by=self.user_id, by_name=self.name, by_role=self.role, **what)


SYSTEM = Actor(role=ActorRole.SYSTEM, name="system")


def in_sight(user: User) -> dict[str, Any]:
    """The filter for the appointments that a user may see: his own, those of the nurse's clinics, or all."""
    match user.role:
        case Role.PATIENT:
            return {"patient_id": user.user_id}
        case Role.DOCTOR:
            return {"doctor_id": user.user_id}
        case Role.NURSE:
            return {"clinic_id": {"$in": clinics_of(user)}}
        case Role.ADMIN:
            return {"patient_id": {"$exists": True}}


def seen_by(user: User) -> frozenset[PydanticObjectId | str]:
    """What the appointments that `in_sight` finds hang on: the ids that it looks them up by, or all there are."""
    match user.role:
        case Role.PATIENT | Role.DOCTOR:
            return frozenset([user.user_id])
        case Role.NURSE:
            return frozenset(clinics_of(user))
        case Role.ADMIN:
            return frozenset([Appointment.Settings.name])
