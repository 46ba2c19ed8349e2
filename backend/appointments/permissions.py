"""Who acts on appointments, which ones they may see, and which slots they may book."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.appointments.documents import ActorRole, Appointment, Exemption, HistoryEntry
from backend.appointments.errors import OutsideYourScope
from backend.appointments.lifecycle import is_past_notice
from backend.patients.links.acting import patients_of
from backend.scheduling.access import clinics_of


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


def exemptions(actor: Actor, appointment: Appointment, now: datetime) -> list[Exemption] | None:
    """Returns what the staff are exempt from when they cancel or reschedule; None if nothing. `now` is UTC."""
    is_staff = actor.role not in (ActorRole.PATIENT, ActorRole.SYSTEM)
    has_notice = bool(appointment.cancellation_notice_minutes)
    return [Exemption.CANCELLATION_NOTICE] if is_staff and has_notice and is_past_notice(appointment, now) else None


SYSTEM = Actor(role=ActorRole.SYSTEM, name="system")


@dataclass(frozen=True, slots=True)
class Scope:
    """The appointments that an account may see: the filter, and the ids whose changes invalidate what it finds."""

    where: dict[str, Any]
    depends_on: frozenset[PydanticObjectId | str]


async def scope_of(user: User) -> Scope:
    """Returns what an account may see.

    Patients see the appointments of whom they act for, doctors their own, nurses their clinics', administrators all.
    """
    match user.role:
        case Role.PATIENT:
            own = [record for each in await patients_of(user) for record in each.records]
            return Scope({"patient_id": own[0] if len(own) == 1 else {"$in": own}}, frozenset(own))
        case Role.DOCTOR:
            return Scope({"doctor_id": user.user_id}, frozenset([user.user_id]))
        case Role.NURSE:
            return Scope({"clinic_id": {"$in": clinics_of(user)}}, frozenset(clinics_of(user)))
        case Role.ADMIN:
            return Scope({"patient_id": {"$exists": True}}, frozenset([Appointment.Settings.name]))


async def visible_to(user: User) -> dict[str, Any]:
    """Returns the filter for the appointments that an account may see."""
    return (await scope_of(user)).where


class Place(Protocol):
    """A doctor's time at a clinic: a slot, or where a fit-in is wanted."""

    @property
    def doctor_id(self) -> PydanticObjectId: ...

    @property
    def clinic_id(self) -> PydanticObjectId: ...


def check_may_book(user: User, place: Place) -> None:
    """Raises `OutsideYourScope` unless the user may book there: doctors their own time, nurses their clinics'."""
    is_others = user.role is Role.DOCTOR and place.doctor_id != user.user_id
    if is_others or (user.role is Role.NURSE and place.clinic_id not in clinics_of(user)):
        raise OutsideYourScope
