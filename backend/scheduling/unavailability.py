"""Which visits can't take place as things stand: the clinic is closed, or the doctor away."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from beanie import PydanticObjectId

from backend.directory.documents import Clinic
from backend.scheduling.availability import Span
from backend.scheduling.hours import repository


class Visit(Protocol):
    """A doctor's time at a clinic. UTC."""

    doctor_id: PydanticObjectId
    clinic_id: PydanticObjectId
    start: datetime
    end: datetime


async def called_off(visits: Sequence[Visit], clinics: Mapping[PydanticObjectId, Clinic]) -> list[bool]:
    """Returns for each visit whether its clinic or doctor is inactive, closed or away then. Two reads in all.

    Such an appointment stays valid until a person decides, but nobody should be asked to come.
    """
    if not visits:
        return []
    doctor_ids = list({visit.doctor_id for visit in visits})
    leaves: dict[PydanticObjectId, list[Span]] = defaultdict(list)
    for leave in await repository.find_leave_of_doctors(doctor_ids, since=min(v.start for v in visits)):
        leaves[leave.doctor_id].append(Span(leave.start, leave.end))
    active = await repository.find_active_ids(doctor_ids)

    def is_off(visit: Visit) -> bool:
        span, clinic = Span(visit.start, visit.end), clinics[visit.clinic_id]
        closures = [Span(closure.start, closure.end) for closure in clinic.closures]
        return (
            not clinic.is_active
            or visit.doctor_id not in active
            or any(absence.overlaps(span) for absence in (*closures, *leaves[visit.doctor_id]))
        )

    return [is_off(visit) for visit in visits]
