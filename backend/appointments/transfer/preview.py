"""What the transfer of a day would do now. It writes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments import errors, repository
from backend.appointments.documents import Appointment, TransitionName
from backend.appointments.lifecycle import TRANSITIONS, check
from backend.appointments.permissions import Actor, left_to_colleagues
from backend.appointments.transfer.transfer import DoctorDate, Transfer, plan
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.scheduling.availability import Span
from backend.scheduling.repository import find_visits_on
from backend.scheduling.slots.capacity import OpenSlot


async def preview_transfer(caller: User, source: DoctorDate, target: DoctorDate) -> list[Transfer]:
    """Returns what a transfer would do. Raises `TransferOntoItself`, `InThePast`."""
    planned = await plan(caller, source, target)
    book = await _Book.read(planned, target)
    clinics = await read_clinics(each.appointment.clinic_id for each in planned)
    own = await left_to_colleagues(caller)
    return [
        replace(each, reason=errors.OwnAppointment.code)
        if each.to is not None and each.appointment.patient_id in own
        else _previewed(each, caller, clinics[each.appointment.clinic_id], book)
        for each in planned
    ]


def _previewed(planned: Transfer, caller: User, clinic: Clinic, book: "_Book") -> Transfer:
    if planned.to is None:
        return planned
    appointment = planned.appointment
    transition, role = TRANSITIONS[TransitionName.RESCHEDULE], Actor.of(caller).role
    try:
        check(transition, appointment, role=role, now=utc_now(), rules=clinic.rules)
        book.take(planned.to, appointment)
    except DomainError as refusal:
        return replace(planned, reason=refusal.code)
    return planned


@dataclass(slots=True)
class _Book:
    """The target's book, in which seats are taken one after the other."""

    seats: Counter[PydanticObjectId]
    visits: int
    busy: dict[PydanticObjectId, dict[PydanticObjectId, Span]]

    @classmethod
    async def read(cls, planned: Sequence[Transfer], target: DoctorDate) -> "_Book":
        """Reads who has which time, and how many patients the doctor has that day."""
        slots = [each.to for each in planned if each.to is not None]
        busy: dict[PydanticObjectId, dict[PydanticObjectId, Span]] = {}
        if slots:
            around = Span(min(s.stored["start"] for s in slots), max(s.stored["end"] for s in slots))
            patient_ids = [each.appointment.patient_id for each in planned]
            for each in await repository.find_active_of_patients(patient_ids, start=around.start, end=around.end):
                busy.setdefault(each.patient_id, {})[each.appointment_id] = Span(each.start, each.end)
        visits = len(await find_visits_on({(target.doctor_id, target.date.isoformat())}))
        return cls(Counter({slot.id: slot.free for slot in slots}), visits, busy)

    def take(self, slot: OpenSlot, appointment: Appointment) -> None:
        """Takes a seat. Raises `SlotTaken`, `DayFull`, `PatientDoubleBooked`."""
        limit, span = slot.stored.get("max_patients_per_day"), Span(slot.stored["start"], slot.stored["end"])
        if limit is not None and self.visits >= limit:
            raise errors.DayFull
        if self.seats[slot.id] <= 0:
            raise errors.SlotTaken
        theirs = self.busy.setdefault(appointment.patient_id, {})
        if any(span.overlaps(other) for key, other in theirs.items() if key != appointment.id):
            raise errors.PatientDoubleBooked
        theirs[appointment.appointment_id] = span
        self.seats[slot.id] -= 1
        self.visits += 1
