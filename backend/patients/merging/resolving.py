"""The id of a merged record leads to the record that survived, and to all that was merged into that one."""

from functools import partial

from beanie import PydanticObjectId

from backend.core.cache.response_cache import Cacheable, response_cache
from backend.patients import repository

_LONGEST_CHAIN = 50


async def surviving_id(patient_id: PydanticObjectId) -> PydanticObjectId:
    """Returns the id of the record that a patient's id stands for: itself, unless it was merged into another one."""
    return (await records_of(patient_id))[0]


async def records_of(patient_id: PydanticObjectId) -> tuple[PydanticObjectId, ...]:
    """Returns the ids of all records of the patient whom an id stands for: first that of the record that survived.

    A record that was merged into it may still have appointments: those at the same time as others of the patient.
    """
    return await response_cache.load(("records of a patient", patient_id), partial(_follow, patient_id))


async def _follow(patient_id: PydanticObjectId) -> Cacheable[tuple[PydanticObjectId, ...]]:
    seen, survivor = {patient_id}, await repository.find_merge_marks(patient_id)
    while survivor.merged_into is not None and len(seen) < _LONGEST_CHAIN:
        seen.add(survivor.merged_into)
        survivor = await repository.find_merge_marks(survivor.merged_into)
    found, to_read = [survivor.patient_id], list(survivor.absorbed)
    while to_read and len(seen) < _LONGEST_CHAIN:
        other = await repository.find_merge_marks(to_read.pop(0))
        seen.add(other.patient_id)
        if other.merged_into in found:  # else its merge has not really begun, or is being undone
            found.append(other.patient_id)
            to_read += other.absorbed
    return Cacheable(tuple(found), depends_on=frozenset({*seen, *found}))
