"""What becomes of the appointments of a patient who is no longer one."""

from collections.abc import Sequence

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments import repository
from backend.appointments.documents import Appointment, Status
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import InvalidTransition, TooLate
from backend.appointments.permissions import Actor
from backend.appointments.transitions import cancel
from backend.patients import records
from backend.patients.documents import InactiveReason
from backend.patients.errors import OwnRecord
from backend.patients.links.acting import find_own
from backend.patients.merging.resolving import records_of

_MAX_TRIES = 3


async def deactivate_patient(
    caller: User, patient_id: PydanticObjectId, *, reason: InactiveReason | None, cancels: bool
) -> Sequence[Appointment]:
    """Deactivates a patient and returns their coming appointments, as they are then. It may be repeated.

    With `cancels` it cancels those that can be. A deceased patient gets no message. Raises `PatientNotFound`, and
    `OwnRecord` if the caller acts for the patient: they would then no longer, and could check them in.
    """
    await _require_other(caller, patient_id)
    patient = await records.deactivate_patient(patient_id, reason=reason)
    coming = await repository.find_coming_of(await records_of(patient.patient_id))
    return [await _cancel(each, Actor.of(caller)) for each in coming] if cancels else coming


async def find_coming(caller: User, patient_id: PydanticObjectId) -> Sequence[Appointment]:
    """Returns the appointments that `deactivate_patient` would report, and changes nothing. Raises what it does."""
    await _require_other(caller, patient_id)
    await records.get_patient(patient_id, where={})
    return await repository.find_coming_of(await records_of(patient_id))


async def _require_other(caller: User, patient_id: PydanticObjectId) -> None:
    if await find_own(caller, patient_id) is not None:
        raise OwnRecord


async def _cancel(appointment: Appointment, actor: Actor) -> Appointment:
    """Cancels an appointment, unless it has begun or its patient is there; returns it as it is then."""
    for _ in range(_MAX_TRIES):
        if appointment.status is Status.CHECKED_IN:
            break
        try:
            return await cancel(appointment, actor, reason="the patient is no longer one")
        except AppointmentChanged:
            appointment = await repository.reload(appointment)
        except (InvalidTransition, TooLate):
            break
    return appointment
