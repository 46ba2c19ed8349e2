"""Reads what decides on a doctor's slots, in the form that `availability` takes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.accounts.profiles import WEEK, HoursBlock
from backend.directory.clinics import read_clinics
from backend.directory.documents import Clinic
from backend.directory.fields import minutes_of
from backend.scheduling.availability import (
    AvailabilityInputs,
    ClinicInputs,
    Span,
    WallBlock,
    WorkingBlock,
    local_day,
    ticks,
)
from backend.scheduling.documents import Slot
from backend.scheduling.hours import repository

_REMEMBERED = timedelta(days=1)
"""Leave that is over still counts: which of two overlapping clinics gets an hour must not change during the day."""


@dataclass(frozen=True, slots=True)
class DoctorSchedule:
    """A doctor, their clinics, and the inputs to the slot arithmetic that follow from both."""

    doctor: User
    clinics: dict[PydanticObjectId, Clinic]
    inputs: AvailabilityInputs

    def agrees_with(self, other: "DoctorSchedule") -> bool:
        """Returns whether both would write the same slots."""
        return self.inputs == other.inputs and self._shown() == other._shown()

    def _shown(self) -> dict[PydanticObjectId, dict[str, Any]]:
        return {clinic_id: shown_names(self.doctor, clinic) for clinic_id, clinic in self.clinics.items()}


async def read_schedule(doctor_id: PydanticObjectId, *, now: datetime) -> DoctorSchedule | None:
    """Reads what decides on a doctor's slots, active or not; None if there is no such doctor. Three reads."""
    doctor, leaves = await repository.find_doctor_and_leave(doctor_id, since=now - _REMEMBERED)
    if doctor is None or doctor.doctor is None:
        return None
    clinics = await read_clinics(doctor.doctor.clinic_ids)
    inputs = AvailabilityInputs(
        is_active=doctor.is_active,
        blocks=tuple(_working_block(block) for block in effective_hours(doctor, clinics)),
        leaves=tuple(Span(leave.start, leave.end) for leave in leaves),
        clinics={clinic_id: clinic_inputs(clinic) for clinic_id, clinic in clinics.items()},
    )
    return DoctorSchedule(doctor=doctor, clinics=clinics, inputs=inputs)


def effective_hours(doctor: User, clinics: dict[PydanticObjectId, Clinic]) -> list[HoursBlock]:
    """Returns the doctor's weekly hours; while none were ever set, the opening hours of the first clinic."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    profile = doctor.doctor
    if profile.weekly_hours is not None:
        return [block for block in profile.weekly_hours if block.clinic_id in profile.clinic_ids]
    first = clinics.get(profile.clinic_ids[0]) if profile.clinic_ids else None
    if first is None:
        return []
    return [
        HoursBlock(
            clinic_id=first.clinic_id,
            weekday=hours.weekday,
            start=hours.opens,
            end=hours.closes,
            slot_minutes=profile.slot_minutes or first.rules.slot_minutes,
        )
        for hours in first.opening_hours
    ]


def clinic_inputs(clinic: Clinic) -> ClinicInputs:
    """Returns what about a clinic decides on slots."""
    return ClinicInputs(
        is_active=clinic.is_active,
        time_zone=clinic.time_zone,
        opening_hours=tuple(
            WallBlock(WEEK.index(h.weekday), minutes_of(h.opens), minutes_of(h.closes))
            for h in clinic.opening_hours
        ),
        closures=tuple(Span(closure.start, closure.end) for closure in clinic.closures),
        horizon_days=clinic.rules.horizon_days,
    )


def _working_block(block: HoursBlock) -> WorkingBlock:
    wall = WallBlock(WEEK.index(block.weekday), minutes_of(block.start), minutes_of(block.end))
    return WorkingBlock(block.clinic_id, wall, block.slot_minutes, block.capacity)


def shown_names(doctor: User, clinic: Clinic) -> dict[str, Any]:
    """Returns what a slot copies of its doctor and clinic, so that lists need no join and booking no third read."""
    assert doctor.doctor is not None  # noqa: S101 - callers hold a doctor
    profile = doctor.doctor
    return {
        "doctor_name": doctor.name,
        "specialty": profile.specialty,
        "specialty_key": profile.specialty_key,
        "department_id": profile.department_id,
        "max_patients_per_day": profile.max_patients_per_day,
        "clinic_name": clinic.name,
        "city": clinic.city,
        "city_key": clinic.city_key,
        "time_zone": clinic.time_zone,
    }


def slot_for(schedule: DoctorSchedule, *, clinic_id: PydanticObjectId, span: Span, capacity: int) -> Slot:
    """Returns a new pending slot, not yet stored."""
    clinic = schedule.clinics[clinic_id]
    return Slot(
        doctor_id=schedule.doctor.user_id,
        clinic_id=clinic_id,
        start=span.start,
        end=span.end,
        day=local_day(span.start, clinic.zone).isoformat(),
        ticks=ticks(span),
        capacity=capacity,
        **shown_names(schedule.doctor, clinic),
    )
