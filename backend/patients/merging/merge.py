"""Merging two records of the same person: one survives, and all that belongs to the other one moves to it.

The intention is stored first. Then the survivor is marked, then the other record; from there on the other's id leads
to the survivor. Links, appointments and messages move one by one, and last the survivor's fields are written. A job
finishes what a process that died has left, and sweeps again later: a booking that was under way when the merge began
arrives after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.patients import repository as patients
from backend.patients.documents import InactiveReason, MergedRecord, Patient
from backend.patients.errors import PatientNotFound
from backend.patients.merging import repository
from backend.patients.merging.documents import Merge, MergeState
from backend.patients.merging.errors import AlreadyMerged, MergeUnderWay, MergeWithItself, PatientInactive
from backend.patients.merging.events import Movement, move_previewed, records_moving
from backend.patients.merging.fields import FieldDifference, changed_fields, differences, with_keys
from backend.patients.merging.links import LinkPlan, check_links, move_links
from backend.patients.records import born_changed, get_patient, patient_renamed

AGAIN = timedelta(minutes=2)
"""When the job takes up a merge that was left, or sweeps: longer than any request."""

_SWEPT_FOR = timedelta(hours=1)
"""So long after a merge the job looks for what has arrived at the other record."""

_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOutcome:
    """What a merge has moved, or would move."""

    survivor: Patient
    other: Patient
    movement: Movement
    links: LinkPlan
    fields: Sequence[FieldDifference] = field(default=())
    merge: Merge | None = None


async def preview_merge(
    patient_id: PydanticObjectId, *, other_id: PydanticObjectId, take: Sequence[str]
) -> MergeOutcome:
    """Returns what merging `other_id` into `patient_id` would move. Raises what `merge_records` raises."""
    survivor, other, merge = await _read_both(patient_id, other_id)
    if merge is None:
        _check_records(survivor, other)
    links = await check_links(survivor.patient_id, other.patient_id)
    movement = Movement(source=other.patient_id, target=survivor)
    await move_previewed.send(movement)
    found = differences(survivor, other, take)
    return MergeOutcome(survivor=survivor, other=other, movement=movement, links=links, fields=found)


async def merge_records(
    caller: User, patient_id: PydanticObjectId, *, other_id: PydanticObjectId, take: Sequence[str] = ()
) -> MergeOutcome:
    """Merges the record `other_id` into `patient_id`. Fields of `take` get the other's values.

    Repeated, it moves what could not move before. Raises `PatientNotFound`, `MergeWithItself`, `AlreadyMerged`,
    `MergeUnderWay`, `PatientInactive`, `SelfLinkExists`, `CircularLink`: nothing has moved then.
    """
    survivor, other, merge = await _read_both(patient_id, other_id)
    found = differences(survivor, other, take if merge is None else merge.take)
    if merge is None:
        _check_records(survivor, other)
        await check_links(survivor.patient_id, other.patient_id)
        merge = Merge(
            survivor_id=survivor.patient_id,
            other_id=other.patient_id,
            take=list(take),
            by=caller.user_id,
            by_name=caller.name,
            due_at=utc_now() + AGAIN,
        )
        if not await repository.insert(merge):
            raise MergeUnderWay
    links, movement = await carry_out(merge)
    survivor = await get_patient(survivor.patient_id)
    return MergeOutcome(survivor=survivor, other=other, movement=movement, links=links, fields=found, merge=merge)


async def _read_both(
    patient_id: PydanticObjectId, other_id: PydanticObjectId
) -> tuple[Patient, Patient, Merge | None]:
    """Returns the two records, and their merge if there is one already."""
    survivor = await get_patient(patient_id)
    other = await patients.find({"_id": other_id})
    if other is None:
        raise PatientNotFound
    if other.id == survivor.id:
        raise MergeWithItself
    merge = await repository.find_current(other_id)
    if merge is not None and merge.survivor_id != survivor.id:
        raise AlreadyMerged
    if merge is not None and merge.state is MergeState.UNDOING:
        raise MergeUnderWay
    return survivor, other, merge


def _check_records(survivor: Patient, other: Patient) -> None:
    if survivor.merged_into or other.merged_into or other.absorbing:
        raise MergeUnderWay
    if not survivor.is_active or other.inactive_reason is InactiveReason.DECEASED:
        raise PatientInactive


async def carry_out(merge: Merge) -> tuple[LinkPlan, Movement]:
    """Does all steps of a merge that aren't done, and moves what has arrived since. Safe to repeat.

    Raises what `merge_records` raises if the merge can't begin; it is as if it had never been then.
    """
    if merge.state is MergeState.BEGUN:
        await _mark(merge)
    survivor = await _read(merge.survivor_id)
    links = await move_links(merge)
    movement = Movement(source=merge.other_id, target=survivor)
    await records_moving.send(movement)
    if merge.state is MergeState.BEGUN and not await _complete(merge):
        return links, movement  # the job goes on
    if survivor.merged_into is not None and (links.moving or movement.appointments or movement.messages):
        await repository.make_due(other_id=merge.survivor_id, at=utc_now())
    is_over = not movement.conflicts and utc_now() > merge.begun_at + _SWEPT_FOR
    await repository.set_state(merge, MergeState.DONE, due_at=None if is_over else utc_now() + AGAIN)
    return links, movement


async def _read(patient_id: PydanticObjectId) -> Patient:
    patient = await patients.find({"_id": patient_id})
    assert patient is not None  # noqa: S101 - records are never deleted
    return patient


async def _mark(merge: Merge) -> None:
    """Marks the survivor, then the other record. Of two merges that would close a circle, one at least fails."""
    survivor, other = await _read(merge.survivor_id), await _read(merge.other_id)
    if other.merged_into == merge.survivor_id:
        return
    try:
        _check_records(survivor, other)
        await check_links(merge.survivor_id, merge.other_id)
        if not await repository.absorb(merge.survivor_id, merge.other_id):
            raise MergeUnderWay
        if not await repository.give_up(merge.other_id, merge.survivor_id):
            raise MergeUnderWay
    except DomainError:
        await repository.let_go(merge.survivor_id, merge.other_id)
        await repository.delete(merge)
        raise


async def _complete(merge: Merge) -> bool:
    """Writes the survivor's fields, once, and tells of them. Returns False if others keep editing the survivor."""
    other = await _read(merge.other_id)
    for _ in range(_TRIES):
        survivor = await _read(merge.survivor_id)
        if merge.other_id not in survivor.absorbing:
            break
        found = differences(survivor, other, merge.take)
        given = changed_fields(found)
        before = {each.field: each.survivor for each in found if each.field in given}
        await repository.set_fields(merge, before=before, given=given)
        merged = MergedRecord(
            id=merge.other_id, name=other.name, at=merge.begun_at, by=merge.by, by_name=merge.by_name
        )
        if await repository.complete(survivor, with_keys(survivor, given), merged=merged) is not None:
            break
    else:
        return False
    survivor = await _read(merge.survivor_id)
    # Sent whether or not they changed: what has moved may carry the other's.
    await born_changed.send(survivor)
    await patient_renamed.send(survivor)
    return True
