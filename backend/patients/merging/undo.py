"""Undoing a merge: what it moved goes back, what was booked since stays with the survivor."""

from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.patients import repository as patients
from backend.patients.documents import Patient
from backend.patients.merging import repository
from backend.patients.merging.documents import Merge, MergeState
from backend.patients.merging.errors import MergedOnwards, MergeNotFound, MergeUnderWay, UndoTooLate
from backend.patients.merging.events import Movement, records_moving
from backend.patients.merging.fields import value_of, with_keys
from backend.patients.merging.links import move_links_back
from backend.patients.merging.merge import AGAIN, carry_out
from backend.patients.records import born_changed, get_patient, patient_renamed

_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoOutcome:
    """What went back."""

    survivor_id: PydanticObjectId
    other_id: PydanticObjectId
    movement: Movement
    links: int
    fields: list[str]


async def undo_merge(patient_id: PydanticObjectId, *, other_id: PydanticObjectId) -> UndoOutcome:
    """Undoes the merge of the record `other_id` into `patient_id`, which may be repeated if it was interrupted.

    Raises `PatientNotFound`, `MergeNotFound`, `MergedOnwards`, `MergeUnderWay`, `UndoTooLate`.
    """
    survivor = await get_patient(patient_id)
    merge = await repository.find_current(other_id)
    if merge is None:
        raise MergeNotFound
    if merge.survivor_id != survivor.patient_id:
        if merge.survivor_id == patient_id:
            raise MergedOnwards
        raise MergeNotFound
    if merge.state is MergeState.DONE:
        if utc_now() > merge.undo_until:
            raise UndoTooLate
        begun = await repository.set_state(merge, MergeState.UNDOING, due_at=utc_now() + AGAIN)
    else:
        begun = merge if merge.state is MergeState.UNDOING else None
    if begun is None:
        raise MergeUnderWay
    return await carry_out_undo(begun)


async def carry_out_undo(merge: Merge) -> UndoOutcome:
    """Does all steps of an undoing that aren't done. Safe to repeat.

    Raises `MergedOnwards`: nothing is undone then.
    """
    if not await repository.hold(merge.survivor_id, merge.other_id):
        await repository.set_state(merge, MergeState.DONE, due_at=utc_now() + AGAIN)
        raise MergedOnwards
    # First, so that nothing more arrives at the survivor under the other's id.
    await repository.separate(merge.other_id, merge.survivor_id)
    links = await move_links_back(merge)
    movement = await _move_back(merge)
    fields = await _restore_fields(merge)
    if fields is not None:  # else the job goes on
        await repository.set_state(merge, MergeState.UNDONE, due_at=utc_now() + AGAIN)
    return UndoOutcome(
        survivor_id=merge.survivor_id, other_id=merge.other_id, movement=movement, links=links, fields=fields or []
    )


async def _move_back(merge: Merge) -> Movement:
    other = await _read(merge.other_id)
    movement = Movement(source=merge.survivor_id, target=other, is_undo=True, since=merge.begun_at)
    await records_moving.send(movement)
    return movement


async def _restore_fields(merge: Merge) -> list[str] | None:
    """Gives the survivor back the fields that nobody has changed since the merge. Returns their names.

    None if others keep editing the survivor.
    """
    restored: dict[str, Any] = {}
    for _ in range(_TRIES):
        survivor = await _read(merge.survivor_id)
        if merge.other_id not in survivor.absorbing:
            break
        given = merge.fields_given
        restored = {f: merge.fields_before.get(f) for f in given if value_of(survivor, f) == given[f]}
        fields = with_keys(survivor, restored)
        if await repository.release(survivor, fields, other_id=merge.other_id) is not None:
            break
    else:
        return None
    for patient_id in (merge.survivor_id, merge.other_id):
        patient = await _read(patient_id)
        await born_changed.send(patient)
        await patient_renamed.send(patient)
    return list(restored)


async def _read(patient_id: PydanticObjectId) -> Patient:
    patient = await patients.find({"_id": patient_id})
    assert patient is not None  # noqa: S101 - records are never deleted
    return patient


async def finish_merges() -> int:
    """A job: finishes merges and undoings that a process has left, and sweeps after those of the last hour, and after
    those with appointments that could not move. Returns how many merges it looked at."""
    done, now = 0, utc_now()
    while (merge := await repository.claim_due(now, again_at=now + AGAIN)) is not None:
        done += 1
        try:
            await _go_on(merge)
        except DomainError:
            continue  # it can't begin, or not be undone: as before
    return done


async def _go_on(merge: Merge) -> None:
    match merge.state:
        case MergeState.BEGUN | MergeState.DONE:
            await carry_out(merge)
        case MergeState.UNDOING:
            await carry_out_undo(merge)
        case MergeState.UNDONE:
            if (await _read(merge.other_id)).merged_into is None:
                await move_links_back(merge)
                await _move_back(merge)
            await repository.set_state(merge, MergeState.UNDONE, due_at=None)
