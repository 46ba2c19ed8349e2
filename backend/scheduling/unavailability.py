"""Which visits can't take place as things stand: the clinic is closed, or the doctor away."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.directory.documents import Clinic
from backend.scheduling.availability import Span
from backend.scheduling.documents import Leave


class Visit(Protocol):
    """A doctor's time at a clinic. UTC."""

    doctor_id: PydanticObjectId
    clinic_id: PydanticObjectId
    start: datetime
    end: datetime


async def called_off(visits: Sequence[Visit], clinics: Mapping[PydanticObjectId, Clinic]) -> list[bool]:
    """For each visit, whether clinic or doctor are out of use, closed or away then. Two reads for all of them.

    Such an appointment stays valid until a person decides; but nobody should be told to come.
    """
    doctor_ids = list({visit.doctor_id for visit in visits})
    leaves: dict[PydanticObjectId, list[Span]] = defaultdict(list)
    earliest = min((visit.start for visit in visits), default=None)
    if earliest is not None:
        async for leave in Leave.find({"doctor_id": {"$in": doctor_ids}, "end": {"$gt": earliest}}):
            leaves[leave.doctor_id].append(Span(leave.start, leave.end))
    users = User.get_pymongo_collection().find({"_id": {"$in": doctor_ids}}, {"is_active": 1})
    active = {user["_id"] async for user in users if user["is_active"]}

    def is_off(visit: Visit) -> bool:
        span, clinic = Span(visit.start, visit.end), clinics[visit.clinic_id]
        stretches = [Span(closure.start, closure.end) for closure in clinic.closures]
        return (
            not clinic.is_active
            or visit.doctor_id not in active
            or any(stretch.overlaps(span) for stretch in (*stretches, *leaves[visit.doctor_id]))
        )

    return [is_off(visit) for visit in visits]
