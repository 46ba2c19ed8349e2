"""The id of a merged record leads to the record that survived."""

from functools import partial

from beanie import PydanticObjectId

from backend.core.cache.response_cache import Cacheable, response_cache
from backend.patients import repository

_LONGEST_CHAIN = 50


async def surviving_id(patient_id: PydanticObjectId) -> PydanticObjectId:
    """Returns the id of the record that a patient's id stands for: itself, unless it was merged into another one."""
    return await response_cache.load(("surviving", patient_id), partial(_follow, patient_id))


async def _follow(patient_id: PydanticObjectId) -> Cacheable[PydanticObjectId]:
    chain = [patient_id]
    for _ in range(_LONGEST_CHAIN):
        following = await repository.find_merged_into(chain[-1])
        if following is None:
            break
        chain.append(following)
    return Cacheable(chain[-1], depends_on=frozenset(chain))
