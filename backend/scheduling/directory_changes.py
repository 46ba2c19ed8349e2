"""Changes of doctors and clinics that change the book: closures, opening hours, zones, who is active, names."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.accounts.users import user_renamed
from backend.core.clock import utc_now
from backend.core.events import Signal
from backend.core.mongo.updates import changes
from backend.directory import clinics, doctors
from backend.directory.documents import Clinic, Closure
from backend.scheduling.availability_inputs import shown_names
from backend.scheduling.documents import SeatClaim, Slot, SlotState
from backend.scheduling.errors import InThePast, ScheduleBusy
from backend.scheduling.hours.working_hours import left_over
from backend.scheduling.outcome import SyncResult
from backend.scheduling.slots import seats
from backend.scheduling.slots.horizon import look_again
from backend.scheduling.slots.slot_sync import HINDSIGHT, reconcile

log = logging.getLogger(__name__)

clinic_changed: Signal[Clinic] = Signal()
"""Sent with the clinic as it now is. Its policy also decides when its patients are reminded."""

_AT_ONCE = 4
"""Doctors of a clinic that are brought in line at the same time."""


async def close_clinic(
    clinic: Clinic, *, start: datetime, end: datetime, reason: str | None
) -> tuple[Closure, SyncResult, list[SeatClaim]]:
    """Closes a clinic for a stretch of time. When it returns, nothing more can be booked in it there.

    Raises `InThePast` for a closure that is over already, and `TooManyClosures`.
    """
    if end <= utc_now():
        raise InThePast
    closure = Closure(start=start, end=end, reason=reason)
    await clinics.add_closure(clinic.clinic_id, closure)
    try:
        outcome = await _reconcile_clinic(clinic.clinic_id)
    except ScheduleBusy:
        # Told to try again, the caller would make two.
        await clinics.drop_closure(clinic.clinic_id, closure.id)
        for doctor in await _doctors_of(clinic.clinic_id):
            await look_again(doctor.user_id)
        raise
    booked = await seats.booked_between({"clinic_id": clinic.clinic_id}, start=start, end=end)
    return closure, outcome, booked


async def reopen_clinic(clinic: Clinic, closure_id: PydanticObjectId) -> SyncResult:
    """Deletes a closure and opens its time again. Raises `ClosureNotFound`."""
    await clinics.delete_closure(clinic.clinic_id, closure_id)
    return await _reconcile_clinic(clinic.clinic_id)


async def change_clinic(
    clinic: Clinic, wanted: Mapping[str, Any]
) -> tuple[Clinic, SyncResult, list[SeatClaim]]:
    """Changes a clinic and brings the book in line; answers with the appointments that no longer fit."""
    changed = await clinics.update_clinic(clinic.clinic_id, wanted)
    if changed.name != clinic.name:
        await _rename_on_appointments({"clinic_id": changed.clinic_id}, {"clinic_name": changed.name})
    await _refresh_slots(await _doctors_of(changed.clinic_id), [changed])
    await clinic_changed.send(changed)
    outcome = await _reconcile_clinic(changed.clinic_id)
    return changed, outcome, await _left_over_at(changed.clinic_id)


async def deactivate_clinic(clinic: Clinic) -> tuple[SyncResult, list[SeatClaim]]:
    """Takes a clinic out of use; answers with all its future appointments."""
    await clinics.set_active(clinic.clinic_id, False)
    outcome = await _reconcile_clinic(clinic.clinic_id)
    return outcome, await seats.booked({"clinic_id": clinic.clinic_id, "end": {"$gt": utc_now()}})


async def change_doctor(doctor: User, wanted: Mapping[str, Any]) -> tuple[User, SyncResult, list[SeatClaim]]:
    """Changes a doctor's profile and brings the book in line; answers with what no longer fits."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    changed = await doctors.update_doctor(doctor.user_id, wanted)
    assert changed.doctor is not None  # noqa: S101 - it is the same doctor
    found = await Clinic.find({"_id": {"$in": changed.doctor.clinic_ids}}).to_list()
    await _refresh_slots([changed], found)
    outcome = await reconcile(doctor.user_id)
    return changed, outcome, await left_over(doctor.user_id)


async def deactivate_doctor(doctor: User) -> tuple[SyncResult, list[SeatClaim]]:
    """Takes a doctor out of the book; answers with all his future appointments."""
    await doctors.set_doctor_active(doctor.user_id, False)
    outcome = await reconcile(doctor.user_id)
    return outcome, await seats.booked({"doctor_id": doctor.user_id, "end": {"$gt": utc_now()}})


async def _doctors_of(clinic_id: PydanticObjectId) -> list[User]:
    """Those who work there, and those who have just left and whose slots may still be open there."""
    ahead = {"clinic_id": clinic_id, "is_active": True, "start": {"$gt": utc_now() - HINDSIGHT}}
    with_slots = await Slot.get_pymongo_collection().distinct("doctor_id", ahead)
    either = [{"doctor.clinic_ids": clinic_id}, {"_id": {"$in": with_slots}}]
    return await User.find({"role": Role.DOCTOR, "$or": either}).to_list()


async def _reconcile_clinic(clinic_id: PydanticObjectId) -> SyncResult:
    """Brings the book of each of the clinic's doctors in line, a few at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(doctor: User) -> SyncResult:
        async with gate:
            return await reconcile(doctor.user_id)

    outcomes = await asyncio.gather(*(one(doctor) for doctor in await _doctors_of(clinic_id)))
    return sum(outcomes, SyncResult())


async def _left_over_at(clinic_id: PydanticObjectId) -> list[SeatClaim]:
    found: list[SeatClaim] = []
    for doctor in await _doctors_of(clinic_id):
        found += [seat for seat in await left_over(doctor.user_id) if seat.clinic_id == clinic_id]
    return sorted(found, key=lambda seat: (seat.start or utc_now(), str(seat.id)))


async def _refresh_slots(of_doctors: list[User], at_clinics: list[Clinic]) -> None:
    """Writes present names onto future slots. The revision goes up: whoever read the old ones can't open them."""
    for doctor in of_doctors:
        for clinic in at_clinics:
            await Slot.get_pymongo_collection().update_many(
                {
                    "doctor_id": doctor.user_id,
                    "clinic_id": clinic.clinic_id,
                    "is_active": True,
                    "state": {"$ne": SlotState.CLOSING},  # is given its names when it opens again
                    "start": {"$gt": utc_now()},
                },
                {
                    # With a new limit of the day a slot may have room again.
                    **changes(
                        {
                            **_without_zone(shown_names(doctor, clinic)),
                            **{"known_full": False, "marking": None},
                        }
                    ),
                    "$inc": {"revision": 1},
                },
            )


def _without_zone(names: dict[str, Any]) -> dict[str, Any]:
    """A slot keeps the zone it was made in: a change of zone makes new slots."""
    return {name: value for name, value in names.items() if name != "time_zone"}


async def _rename_on_appointments(query: dict[str, Any], names: dict[str, str]) -> None:
    await SeatClaim.get_pymongo_collection().update_many(query, {"$set": names})


@doctors.doctor_created.connect
async def _open_first_slots(doctor: User) -> None:
    """A new doctor can be booked at once."""
    await _reconcile_if_quiet(doctor)


async def _reconcile_if_quiet(doctor: User) -> None:
    """Brings a book in line; if others are at it again and again, it is left to them and to `extend_slots`."""
    try:
        await reconcile(doctor.user_id)
    except ScheduleBusy:
        log.warning("slots of doctor %s are brought in line later", doctor.user_id)


@user_renamed.connect
async def _rename_user(user: User) -> None:
    """A user's name stands on appointments, and a doctor's on slots."""
    if user.role is Role.PATIENT:
        await _rename_on_appointments({"patient_id": user.user_id}, {"patient_name": user.name})
    if user.role is Role.DOCTOR and user.doctor is not None:
        await _rename_on_appointments({"doctor_id": user.user_id}, {"doctor_name": user.name})
        found = await Clinic.find({"_id": {"$in": user.doctor.clinic_ids}}).to_list()
        await _refresh_slots([user], found)
        await _reconcile_if_quiet(user)  # of two new names at once, the slots must bear the later
