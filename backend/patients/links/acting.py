"""For which patients an account acts. Everything that a patient's account may see or do is limited to these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.core.cache.response_cache import Cacheable, response_cache
from backend.patients.documents import Relation
from backend.patients.links import repository as links_repository
from backend.patients.merging.resolving import records_of
from backend.patients.repository import absorbed_by


@dataclass(frozen=True, slots=True)
class OwnPatient:
    """A patient for whom an account acts."""

    patient_id: PydanticObjectId
    name: str
    date_of_birth: str | None
    relation: Relation
    since: datetime
    records: tuple[PydanticObjectId, ...]
    """The ids of all records of the patient: their own, and those that were merged into it."""


async def patients_of(user: User) -> Sequence[OwnPatient]:
    """Returns the active patients for whom an account acts: its owner first, then the others, oldest link first."""
    return await response_cache.load(("patients_of", user.user_id), partial(_read, user.user_id))


async def _read(user_id: PydanticObjectId) -> Cacheable[Sequence[OwnPatient]]:
    links = await links_repository.load_of_user(user_id)
    found = await patients_in(links)
    # Inactive patients too: they may become active again.
    patients = {link["patient_id"] for link in links}.union(*(each.records for each in found))
    return Cacheable(found, depends_on=frozenset({user_id, *patients}))


async def patients_in(links: Iterable[Mapping[str, Any]]) -> Sequence[OwnPatient]:
    """Returns the active patients of an account's links, which were read each with its `patient`; its owner first."""
    active = [link for link in links if link["patient"]["is_active"]]
    found = [
        OwnPatient(
            patient_id=link["patient_id"],
            name=link["patient"]["name"],
            date_of_birth=link["patient"].get("date_of_birth"),
            relation=Relation(link["relation"]),
            since=link["since"],
            records=await records_of(link["patient_id"]) if absorbed_by(link["patient"]) else (link["patient_id"],),
        )
        for link in active
    ]
    found.sort(key=lambda each: each.relation is not Relation.SELF)
    return found


async def find_own(user: User, patient_id: PydanticObjectId | None) -> OwnPatient | None:
    """Returns one of the account's patients; without an id, its owner. None if the account doesn't act for them."""
    return choose(await patients_of(user), patient_id)


def choose(own: Iterable[OwnPatient], patient_id: PydanticObjectId | None) -> OwnPatient | None:
    """Returns one of an account's patients as `find_own` does."""
    for each in own:
        if each.patient_id == patient_id or (patient_id is None and each.relation is Relation.SELF):
            return each
    return None
