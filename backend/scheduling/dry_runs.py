"""The report of a withdrawal without the withdrawal: what a leave, a closure, hours or a deactivation would do.

Each function raises what the change itself would raise before its first write.
"""

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import HoursBlock
from backend.core.clock import utc_now
from backend.core.http.errors import EditConflict
from backend.directory.clinics import MOST_CLOSURES
from backend.directory.documents import Clinic
from backend.directory.errors import TooManyClosures
from backend.scheduling import repository as claims
from backend.scheduling.availability import AvailabilityInputs, ClinicInputs, Span
from backend.scheduling.availability_inputs import working_blocks
from backend.scheduling.directory_changes import doctors_of
from backend.scheduling.documents import SeatClaim, Slot, SlotState
from backend.scheduling.errors import InThePast
from backend.scheduling.hours import repository as hours_repository
from backend.scheduling.hours.schemas import HoursBlockIn
from backend.scheduling.hours.working_hours import planned_week
from backend.scheduling.slots.preview import preview
from backend.scheduling.slots.slot_sync import SyncResult

Report = tuple[SyncResult, list[SeatClaim]]


async def leave(doctor: User, *, start: datetime, end: datetime) -> Report:
    """Returns what a leave would do. Raises `InThePast`."""
    if end <= utc_now():
        raise InThePast
    away = Span(start, end)
    found = await preview(doctor.user_id, lambda inputs: replace(inputs, leaves=(*inputs.leaves, away)))
    during = {"doctor_id": doctor.user_id, "start": {"$lt": end}, "end": {"$gt": start}}
    return found.result, await claims.find_booked(during)


async def closure(clinic: Clinic, *, start: datetime, end: datetime) -> Report:
    """Returns what a closure would do. Raises `InThePast`, `TooManyClosures`."""
    if end <= utc_now():
        raise InThePast
    if len(clinic.closures) >= MOST_CLOSURES:
        raise TooManyClosures
    shut = Span(start, end)
    during = {"clinic_id": clinic.clinic_id, "start": {"$lt": end}, "end": {"$gt": start}}
    result = await _at_clinic(clinic.clinic_id, lambda inputs: replace(inputs, closures=(*inputs.closures, shut)))
    return result, await claims.find_booked(during)


async def working_hours(
    doctor: User, wanted: list[HoursBlockIn], *, only_at: Collection[PydanticObjectId] | None, version: int | None
) -> tuple[list[HoursBlock], SyncResult, list[SeatClaim]]:
    """Returns the week that would be stored, and what it would do. Raises what `set_hours` raises."""
    as_read, stored_version = await hours_repository.read_weekly_hours(doctor.user_id)
    if version not in (None, stored_version):
        raise EditConflict
    week = await planned_week(doctor, as_read, wanted, only_at)
    found = await preview(doctor.user_id, lambda inputs: replace(inputs, blocks=working_blocks(week)))
    return week, found.result, await claims.find_booked_in(found.without)


async def removed_slot(slot: Slot) -> Report:
    """Returns what removing a slot would do."""
    withdrawn = SyncResult(withdrawn=int(slot.state is SlotState.OPEN))
    return withdrawn, await claims.find_booked_in([slot])


async def inactive_doctor(doctor: User) -> Report:
    """Returns what deactivating a doctor would do."""
    found = await preview(doctor.user_id, lambda inputs: replace(inputs, is_active=False))
    return found.result, await _coming({"doctor_id": doctor.user_id})


async def inactive_clinic(clinic: Clinic) -> Report:
    """Returns what deactivating a clinic would do."""
    result = await _at_clinic(clinic.clinic_id, lambda inputs: replace(inputs, is_active=False))
    return result, await _coming({"clinic_id": clinic.clinic_id})


async def _at_clinic(clinic_id: PydanticObjectId, change: Callable[[ClinicInputs], ClinicInputs]) -> SyncResult:
    """Returns what a change of a clinic would do to the slots of all its doctors."""

    def changed(inputs: AvailabilityInputs) -> AvailabilityInputs:
        if clinic_id not in inputs.clinics:
            return inputs
        return replace(inputs, clinics={**inputs.clinics, clinic_id: change(inputs.clinics[clinic_id])})

    results = [(await preview(doctor.user_id, changed)).result for doctor in await doctors_of(clinic_id)]
    return sum(results, SyncResult())


async def _coming(whose: dict[str, Any]) -> list[SeatClaim]:
    return await claims.find_booked({**whose, "end": {"$gt": utc_now()}})
