"""Changes of doctors and clinics that affect slots: closures, opening hours, zones, who is active, names."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.accounts.users import user_renamed
from backend.core.clock import utc_now
from backend.core.events import Signal
from backend.directory import clinics, doctors
from backend.directory.documents import Clinic, Closure
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import get_visit_type, visit_type_renamed
from backend.patients.documents import Patient
from backend.patients.records import patient_renamed
from backend.scheduling import repository as claims
from backend.scheduling.access import clinics_of
from backend.scheduling.availability_inputs import shown_names
from backend.scheduling.decisions import repository as decisions
from backend.scheduling.decisions.documents import CauseKind
from backend.scheduling.decisions.withdrawals import ABANDONED, begin, find_without_slot, settle
from backend.scheduling.documents import SeatClaim
from backend.scheduling.errors import InThePast, ScheduleBusy
from backend.scheduling.hours import repository as hours_repository
from backend.scheduling.slots import repository as slots
from backend.scheduling.slots.slot_sync import LOOKBACK, SyncResult, reconcile
from backend.scheduling.zone_correction import correct_appointments, correct_coming

log = logging.getLogger(__name__)

clinic_changed: Signal[Clinic] = Signal()
"""Sent with the changed clinic. Its policy also decides when its patients are reminded."""

_AT_ONCE = 4
"""Doctors of a clinic that are reconciled at the same time."""


async def close_clinic(
    clinic: Clinic, *, start: datetime, end: datetime, reason: str | None
) -> tuple[Closure, SyncResult, list[SeatClaim]]:
    """Closes a clinic for a period. When it returns, no new booking can land there in that time.

    Returns every active appointment in that time too. Raises `InThePast` if it is over, and `TooManyClosures`.
    """
    if end <= utc_now():
        raise InThePast
    closure = Closure(start=start, end=end, reason=reason)
    withdrawal = await begin(CauseKind.CLOSURE, subject=closure.id, clinic_id=clinic.clinic_id)
    await clinics.add_closure(clinic.clinic_id, closure)
    try:
        result = await _reconcile_clinic(clinic.clinic_id)
    except ScheduleBusy:
        # The caller will try again, and would otherwise create two.
        await clinics.drop_closure(clinic.clinic_id, closure.id)
        for doctor in await doctors_of(clinic.clinic_id):
            await hours_repository.request_sync(doctor.user_id)
        raise
    await settle(withdrawal)
    during = {"clinic_id": clinic.clinic_id, "start": {"$lt": end}, "end": {"$gt": start}}
    return closure, result, await claims.find_booked(during)


async def reopen_clinic(clinic: Clinic, closure_id: PydanticObjectId) -> SyncResult:
    """Deletes a closure and opens its time again. Its appointments no longer need a decision.

    Raises `ClosureNotFound`.
    """
    withdrawal = await begin(CauseKind.CLOSURE, subject=closure_id, clinic_id=clinic.clinic_id)
    try:
        await clinics.delete_closure(clinic.clinic_id, closure_id)
        return await _reconcile_clinic(clinic.clinic_id)
    finally:
        await settle(withdrawal)


async def change_clinic(
    clinic: Clinic, wanted: Mapping[str, Any], *, version: int | None = None
) -> tuple[Clinic, SyncResult, list[SeatClaim]]:
    """Changes a clinic and updates its slots. Returns the appointments that no longer fit too.

    After a correction of its time zone it returns all coming appointments. They keep their instant.
    """
    new_zone = wanted.get("time_zone", clinic.time_zone) != clinic.time_zone
    wanted = {**wanted, "zone_corrected_at": utc_now()} if new_zone else wanted
    withdrawal = await begin(CauseKind.CLINIC, subject=clinic.clinic_id, clinic_id=clinic.clinic_id)
    changed = await clinics.update_clinic(clinic.clinic_id, wanted, version=version)
    if changed.name != clinic.name:
        await claims.rename_on_appointments({"clinic_id": changed.clinic_id}, {"clinic_name": changed.name})
    for doctor in await doctors_of(changed.clinic_id):
        await _refresh_slots(doctor, [changed])
    await clinic_changed.send(changed)
    result = await _reconcile_clinic(changed.clinic_id)
    await settle(withdrawal)
    if new_zone:
        await correct_coming(changed)
        coming = {"clinic_id": changed.clinic_id, "end": {"$gt": utc_now()}}
        return changed, result, await claims.find_booked(coming)
    return changed, result, await find_without_slot({"clinic_id": changed.clinic_id})


async def finish_zone_corrections() -> int:
    """Finishes corrections of clinics' time zones: the past appointments, and whatever a crash left undone.

    Returns how many clinics are done. Any number of processes may run it at once: each write is safe to repeat.
    """
    done = 0
    for clinic in await clinics.find_zone_corrected():
        await clinic_changed.send(clinic)
        try:
            await _reconcile_clinic(clinic.clinic_id)
        except ScheduleBusy:
            log.warning("the zone of clinic %s is finished later: its slots are being changed", clinic.clinic_id)
            continue
        await correct_appointments(clinic)
        await clinics.complete_zone_correction(clinic)
        done += 1
    return done


async def deactivate_clinic(clinic: Clinic) -> tuple[SyncResult, list[SeatClaim]]:
    """Deactivates a clinic and withdraws its slots. Returns all its future appointments too."""
    withdrawal = await begin(CauseKind.CLINIC, subject=clinic.clinic_id, clinic_id=clinic.clinic_id)
    await clinics.update_clinic(clinic.clinic_id, {"is_active": False})
    result = await _reconcile_clinic(clinic.clinic_id)
    await settle(withdrawal)
    return result, await claims.find_booked({"clinic_id": clinic.clinic_id, "end": {"$gt": utc_now()}})


async def change_doctor(
    doctor: User, wanted: Mapping[str, Any], *, version: int | None = None
) -> tuple[User, SyncResult, list[SeatClaim]]:
    """Changes a doctor's profile and updates their slots. Returns the appointments that no longer fit too."""
    withdrawal = await begin(CauseKind.DOCTOR, subject=doctor.user_id, doctor_id=doctor.user_id)
    changed = await doctors.update_doctor(doctor.user_id, wanted, version=version)
    await _refresh_slots(changed, (await clinics.read_clinics(clinics_of(changed))).values())
    result = await reconcile(doctor.user_id)
    await settle(withdrawal)
    return changed, result, await find_without_slot({"doctor_id": doctor.user_id})


async def deactivate_doctor(doctor: User) -> tuple[SyncResult, list[SeatClaim]]:
    """Deactivates a doctor and withdraws their slots. Returns all their future appointments too."""
    withdrawal = await begin(CauseKind.DOCTOR, subject=doctor.user_id, doctor_id=doctor.user_id)
    await doctors.deactivate_doctor(doctor.user_id)
    result = await reconcile(doctor.user_id)
    await settle(withdrawal)
    return result, await claims.find_booked({"doctor_id": doctor.user_id, "end": {"$gt": utc_now()}})


async def finish_withdrawals() -> int:
    """Marks the appointments of withdrawals whose process died. Returns how many withdrawals it finished.

    Any number of processes may run it at once: each withdrawal is claimed by one conditional update.
    """
    finished = 0
    while (withdrawal := await decisions.claim_due(now := utc_now(), again_at=now + ABANDONED)) is not None:
        try:
            if withdrawal.doctor_id is not None:
                await reconcile(withdrawal.doctor_id)
            else:
                await _reconcile_clinic(withdrawal.whose["clinic_id"])
        except ScheduleBusy:
            continue  # claimed for two minutes: then again
        await settle(withdrawal)
        finished += 1
    return finished


async def doctors_of(clinic_id: PydanticObjectId) -> list[User]:
    """Returns the doctors who work there, and those who have just left and whose slots may still be open there."""
    with_slots = await slots.find_doctors_with_slots(clinic_id, since=utc_now() - LOOKBACK)
    return await hours_repository.find_doctors(at=clinic_id, or_by_id=with_slots)


async def _reconcile_clinic(clinic_id: PydanticObjectId) -> SyncResult:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(doctor: User) -> SyncResult:
        async with gate:
            return await reconcile(doctor.user_id)

    results = await asyncio.gather(*(one(doctor) for doctor in await doctors_of(clinic_id)))
    return sum(results, SyncResult())


async def _refresh_slots(doctor: User, at: Iterable[Clinic]) -> None:
    """Writes the present names onto future slots. A new time zone withdraws them first: see `slot_sync`."""
    for clinic in at:
        names = shown_names(doctor, clinic)
        del names["time_zone"]
        await slots.refresh_names(doctor.user_id, clinic.clinic_id, names)


@doctors.doctor_created.connect
async def _reconcile_if_quiet(doctor: User) -> None:
    """Reconciles a doctor's slots. If others keep changing them, it leaves the rest to them and to `extend_slots`."""
    try:
        await reconcile(doctor.user_id)
    except ScheduleBusy:
        log.warning("slots of doctor %s will be reconciled later", doctor.user_id)


@patient_renamed.connect
async def _rename_patient(patient: Patient) -> None:
    """Writes a patient's new name onto their appointments."""
    await claims.rename_on_appointments({"patient_id": patient.patient_id}, {"patient_name": patient.name})


@visit_type_renamed.connect
async def _rename_visit_type(visit_type: VisitType) -> None:
    """Writes a visit type's new name onto its appointments. What patients were told of it stays as it was booked."""
    of_type = {"clinic_id": visit_type.clinic_id, "visit_type_id": visit_type.visit_type_id}
    name, present = None, visit_type.name
    while name != present:  # of two new names at once, appointments must get the later one
        name = present
        await claims.rename_on_appointments(of_type, {"visit_type_name": name})
        present = (await get_visit_type(visit_type.visit_type_id)).name


@user_renamed.connect
async def _rename_doctor(user: User) -> None:
    """Writes a doctor's new name onto their appointments and slots."""
    if user.role is Role.DOCTOR:
        await claims.rename_on_appointments({"doctor_id": user.user_id}, {"doctor_name": user.name})
        await _refresh_slots(user, (await clinics.read_clinics(clinics_of(user))).values())
        await _reconcile_if_quiet(user)  # of two new names at once, slots must get the later one
