"""Reads what decides on a doctor's slots, in the form that `availability` takes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import WEEK, DoctorProfile, HoursBlock, Weekday
from backend.core.clock import utc_now
from backend.directory.clinics import read_clinics
from backend.directory.doctors import get_doctor, profile_of
from backend.directory.documents import Clinic
from backend.directory.fields import block_minutes
from backend.scheduling import availability
from backend.scheduling.documents import Slot, SlotSource
from backend.scheduling.hours import repository

_REMEMBERED = timedelta(days=1)
"""Leave that is over still counts: which of two overlapping clinics gets an hour must not change during the day."""


@dataclass(frozen=True, slots=True)
class DoctorSchedule:
    """A doctor, their clinics, and what follows from both: inputs to the slot arithmetic, and names by clinic."""

    doctor: User
    clinics: dict[PydanticObjectId, Clinic]
    inputs: availability.AvailabilityInputs
    shown: dict[PydanticObjectId, dict[str, Any]]

    def agrees_with(self, other: "DoctorSchedule") -> bool:
        """Returns whether both would write the same slots."""
        return self.inputs == other.inputs and self.shown == other.shown


async def read_schedule(doctor_id: PydanticObjectId, *, now: datetime) -> DoctorSchedule:
    """Reads what decides on a doctor's slots, active or not. Three reads. Raises `DoctorNotFound`."""
    doctor, leaves = await asyncio.gather(
        get_doctor(doctor_id), repository.find_leave_of_doctors([doctor_id], since=now - _REMEMBERED)
    )
    profile = profile_of(doctor)
    clinics = await read_clinics(profile.clinic_ids)
    inputs = availability.AvailabilityInputs(
        is_active=doctor.is_active,
        blocks=working_blocks(effective_hours(profile, clinics)),
        leaves=tuple(availability.Span(leave.start, leave.end) for leave in leaves),
        clinics={clinic_id: _clinic_inputs(clinic) for clinic_id, clinic in clinics.items()},
    )
    shown = {clinic_id: shown_names(doctor, clinic) for clinic_id, clinic in clinics.items()}
    return DoctorSchedule(doctor, clinics, inputs, shown)


def working_blocks(hours: Iterable[HoursBlock]) -> tuple[availability.WorkingBlock, ...]:
    """Returns weekly hours in the form that `availability` takes."""
    return tuple(
        availability.WorkingBlock(b.clinic_id, wall_block(b.weekday, b.start, b.end), b.slot_minutes, b.capacity)
        for b in hours
    )


def effective_hours(profile: DoctorProfile, clinics: dict[PydanticObjectId, Clinic]) -> list[HoursBlock]:
    """Returns the doctor's weekly hours; while none were ever set, the opening hours of the first clinic."""
    if profile.weekly_hours is not None:
        return [block for block in profile.weekly_hours if block.clinic_id in profile.clinic_ids]
    first = clinics.get(profile.clinic_ids[0]) if profile.clinic_ids else None
    if first is None:
        return []
    minutes = profile.slot_minutes or first.rules.slot_minutes
    whose = {"clinic_id": first.clinic_id, "slot_minutes": minutes}
    return [
        HoursBlock(**whose, weekday=hours.weekday, start=hours.opens, end=hours.closes)
        for hours in first.opening_hours
    ]


def _clinic_inputs(clinic: Clinic) -> availability.ClinicInputs:
    return availability.ClinicInputs(
        is_active=clinic.is_active,
        time_zone=clinic.time_zone,
        opening_hours=tuple(wall_block(h.weekday, h.opens, h.closes) for h in clinic.opening_hours),
        closures=tuple(availability.Span(closure.start, closure.end) for closure in clinic.closures),
        horizon_days=clinic.rules.horizon_days,
        staff_horizon_days=clinic.rules.staff_horizon_days,
    )


def wall_block(weekday: Weekday, start: str, end: str) -> availability.WallBlock:
    """Returns a block of stored hours in the form that the slot arithmetic takes."""
    return availability.WallBlock(WEEK.index(weekday), *block_minutes(start, end))


def shown_names(doctor: User, clinic: Clinic) -> dict[str, Any]:
    """Returns what a slot copies of its doctor and clinic, so that lists need no join and booking no third read."""
    profile = profile_of(doctor)
    of_profile = ("specialty", "specialty_key", "department_id", "max_patients_per_day")
    return {
        **{"doctor_name": doctor.name, "clinic_name": clinic.name},
        **{name: getattr(profile, name) for name in of_profile},
        **{name: getattr(clinic, name) for name in ("city", "city_key", "time_zone")},
    }


def online_fields(schedule: DoctorSchedule, clinic_id: PydanticObjectId, start: datetime) -> dict[str, Any]:
    """Returns what a slot stores of when patients can book it. They can from the first reconciliation after that."""
    opens = availability.online_from(schedule.inputs.clinics[clinic_id], start)
    return {"online_from": opens, "is_online": opens <= utc_now()}


def slot_for(schedule: DoctorSchedule, offer: availability.Offer, *, source: SlotSource) -> Slot:
    """Returns a new pending slot, not yet stored."""
    span, zone = offer.span, schedule.clinics[offer.clinic_id].zone
    return Slot(
        doctor_id=schedule.doctor.user_id,
        clinic_id=offer.clinic_id,
        start=span.start,
        end=span.end,
        day=availability.local_day(span.start, zone).isoformat(),
        ticks=availability.ticks(span),
        capacity=offer.capacity,
        source=source,
        **online_fields(schedule, offer.clinic_id, span.start),
        **schedule.shown[offer.clinic_id],
    )
