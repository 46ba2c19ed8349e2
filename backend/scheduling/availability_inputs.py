"""Reads the facts that decide on a doctor's slots, in the shape of the rules."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import Role, User
from backend.accounts.profiles import WEEK, HoursBlock
from backend.core.http.fields import minutes_of
from backend.directory.documents import Clinic
from backend.scheduling.availability import AvailabilityInputs, ClinicInputs, Span, WallBlock, WorkingBlock
from backend.scheduling.documents import Leave, Slot

_REMEMBERED = timedelta(days=1)
"""Leave that is over still counts: which of two colliding clinics has an hour must not change during the day."""


@dataclass(frozen=True, slots=True)
class DoctorSchedule:
    """A doctor, the clinics that matter to him, and the facts drawn from both."""

    doctor: User
    clinics: dict[PydanticObjectId, Clinic]
    facts: AvailabilityInputs

    def agrees_with(self, other: "DoctorSchedule") -> bool:
        """Whether both would write the same slots."""
        return self.facts == other.facts and self._shown() == other._shown()

    def _shown(self) -> dict[PydanticObjectId, dict[str, Any]]:
        return {clinic_id: shown_names(self.doctor, clinic) for clinic_id, clinic in self.clinics.items()}


async def read_schedule(doctor_id: PydanticObjectId, *, now: datetime) -> DoctorSchedule | None:
    """The present facts of a doctor, active or not; None where there is no such doctor. Three reads."""
    doctor, leaves = await asyncio.gather(
        User.find_one({"_id": doctor_id, "role": Role.DOCTOR}),
        Leave.find({"doctor_id": doctor_id, "end": {"$gt": now - _REMEMBERED}})
        .sort("start", "_id")
        .to_list(),
    )
    if doctor is None or doctor.doctor is None:
        return None
    found = await Clinic.find({"_id": {"$in": doctor.doctor.clinic_ids}}).to_list()
    clinics = {clinic.clinic_id: clinic for clinic in found}
    facts = AvailabilityInputs(
        is_active=doctor.is_active,
        blocks=tuple(_working_block(block) for block in effective_hours(doctor, clinics)),
        leaves=tuple(Span(leave.start, leave.end) for leave in leaves),
        clinics={clinic.clinic_id: clinic_inputs(clinic) for clinic in found},
    )
    return DoctorSchedule(doctor=doctor, clinics=clinics, facts=facts)


def effective_hours(doctor: User, clinics: dict[PydanticObjectId, Clinic]) -> list[HoursBlock]:
    """The doctor's weekly hours; while none were ever set, the opening hours of the first clinic."""
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
    """What of a clinic decides on slots."""
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
    """What a slot copies of its doctor and clinic, so that lists need no join and booking no third read."""
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


def slot_for(
    book: DoctorSchedule,
    *,
    clinic_id: PydanticObjectId,
    span: Span,
    capacity: int,
    day: str,
    ticks: list[int],
) -> Slot:
    """A pending slot, not yet stored."""
    return Slot(
        doctor_id=book.doctor.user_id,
        clinic_id=clinic_id,
        start=span.start,
        end=span.end,
        day=day,
        ticks=ticks,
        capacity=capacity,
        **shown_names(book.doctor, book.clinics[clinic_id]),
    )
