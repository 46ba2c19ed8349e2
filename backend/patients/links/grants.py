"""Who acts for whom: dependants whom an account adds, and links that staff grant and withdraw."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from beanie import PydanticObjectId

from backend.accounts import repository as accounts
from backend.accounts.documents import User
from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.patients import repository
from backend.patients.documents import OF_MINORS, NewRecord, Patient, PatientLink, Relation, Verification
from backend.patients.errors import CircularLink, LinkNotFound, TooManyDependants, UnknownAccount
from backend.patients.links import repository as links_repository
from backend.patients.merging.resolving import surviving_id
from backend.patients.records import born_changed, get_patient
from backend.patients.schemas import NewDependant, NewLink

_MOST_DEPENDANTS = 20
"""Patients whom an account can add by itself. (Of several at the same moment, one more may pass.)"""

_LONGEST_CHAIN = 10
"""How many accounts in a row are followed in search of a circle."""

_MOST_OF_AGE = 500


async def add_dependant(caller: User, new: NewDependant) -> Patient:
    """Adds a patient for whom the caller acts, with the caller's contacts. Raises `TooManyDependants`."""
    if await links_repository.count_of_user(caller.user_id, limit=_MOST_DEPENDANTS) == _MOST_DEPENDANTS:
        raise TooManyDependants
    born = new.date_of_birth.isoformat()
    contacts = {field: getattr(caller, field) for field in ("phone", "email", "language")}
    link = PatientLink(
        id=PydanticObjectId(),
        user_id=caller.user_id,
        patient_id=PydanticObjectId(),
        relation=Relation(new.relation),
        verified_by=Verification.OWN_WORD,
        child_born=born if Relation(new.relation) in OF_MINORS else None,
        pending=NewRecord(name=new.name, date_of_birth=born, **contacts),
    )
    await links_repository.insert_once(link)
    return await write_dependant(link)


async def write_dependant(link: PatientLink) -> Patient:
    """Writes the record of a new dependant and returns it. Safe to repeat."""
    pending = link.pending
    assert pending is not None  # noqa: S101 - callers hold a link whose record is still to be written
    fields = pending.model_dump(exclude={"since"})
    patient = Patient(id=link.patient_id, **fields, created_at=pending.since, updated_at=pending.since)
    await repository.insert_once(patient)
    await links_repository.remove_pending(link.link_id)
    return patient


async def list_links(patient_id: PydanticObjectId) -> list[Mapping[str, Any]]:
    """Returns a patient's links, oldest first, each with its `user`. Raises `PatientNotFound`."""
    patient = await get_patient(patient_id)
    return list(await links_repository.find_of_patient(patient.patient_id))


async def get_link(patient_id: PydanticObjectId, link_id: PydanticObjectId) -> Mapping[str, Any]:
    """Returns a link of a patient with its `user`. Raises `LinkNotFound`."""
    for link in await links_repository.find_of_patient(await surviving_id(patient_id)):
        if link["_id"] == link_id:
            return link
    raise LinkNotFound


async def grant_link(caller: User, patient_id: PydanticObjectId, new: NewLink) -> Mapping[str, Any]:
    """Lets an account act for a patient, and returns the link with its `user`.

    Raises `PatientNotFound`, `UnknownAccount`, `LinkExists`, `SelfLinkExists`, `CircularLink`.
    """
    patient = await get_patient(patient_id, where={"is_active": True})
    user = await accounts.find({"_id": new.user_id, "is_active": True})
    if user is None:
        raise UnknownAccount
    link = PatientLink.of(new.user_id, patient, new.relation, verified_by=Verification.STAFF)
    link.granted_by = caller.user_id
    await link_to(link)
    return {**link.model_dump(), "_id": link.id, "user": {"name": user.name}}


async def link_to(link: PatientLink) -> None:
    """Inserts a link. Raises `LinkExists`, `SelfLinkExists`, `CircularLink`."""
    await links_repository.insert(link)
    # Looked for after the write: of two links that would close a circle together, one at least sees the other.
    if await _closes_circle(link):
        await links_repository.delete(link.link_id, patient_id=link.patient_id)
        raise CircularLink


async def _closes_circle(link: PatientLink) -> bool:
    """Returns whether a patient's account acts, directly or through others, for the owner of the linked account."""
    if link.relation is Relation.SELF:
        reached, owner = {link.patient_id}, link.patient_id
    else:
        own = await links_repository.find_own(link.user_id)
        if own is None:
            return False
        reached, owner = {link.patient_id}, own.patient_id
        if owner == link.patient_id:
            return True
    for _ in range(_LONGEST_CHAIN):
        found = await links_repository.find_patients_of(list(reached))
        if owner in found:
            return True
        if found <= reached:
            return False
        reached |= found
    return True


async def acts_for_one_of(same_person: set[PydanticObjectId]) -> bool:
    """Returns whether the accounts of some records act, through somebody else, for one of these records.

    If the records are of one person, that is a circle.
    """
    reached = await links_repository.find_patients_of(list(same_person)) - same_person
    for _ in range(_LONGEST_CHAIN):
        found = await links_repository.find_patients_of(list(reached))
        if found & same_person:
            return True
        if found <= reached:
            return False
        reached |= found
    return True


async def withdraw_link(patient_id: PydanticObjectId, link_id: PydanticObjectId) -> None:
    """Ends that an account acts for a patient. Raises `LinkNotFound`."""
    if not await links_repository.delete(link_id, patient_id=await surviving_id(patient_id)):
        raise LinkNotFound


async def keep_link(patient_id: PydanticObjectId, link_id: PydanticObjectId) -> None:
    """Takes a link off the list for review, though its patient has come of age. Raises `LinkNotFound`."""
    if not await links_repository.set_reviewed(link_id, patient_id=await surviving_id(patient_id)):
        raise LinkNotFound


async def patients_of_age() -> list[PydanticObjectId]:
    """Returns patients of ADULT_AGE for whom a parent or guardian still acts, and nobody has reviewed it.

    At most 500, those who came of age last.
    """
    # In any zone, the calendar day differs from that of UTC by at most one.
    today = (utc_now() + timedelta(days=1)).date()
    last_day = f"{today.year - settings.ADULT_AGE:04}{today.isoformat()[4:]}"
    return await links_repository.find_patients_born_by(last_day, limit=_MOST_OF_AGE)


@born_changed.connect
async def _copy_date_of_birth(patient: Patient) -> None:
    await links_repository.set_date_of_birth(patient.patient_id, patient.date_of_birth)
