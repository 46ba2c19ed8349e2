"""Marks the appointments whose time was withdrawn, and clears marks whose cause is gone.

A withdrawal is stored, then made; then `settle` marks its appointments by what is stored now. If the leave was
deleted meanwhile, it clears their marks instead. It may run any number of times, in any number of processes: it
reads again after its last write, and every change of the cause is followed by a `settle` of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.directory.clinics import read_clinics
from backend.scheduling import repository as claims
from backend.scheduling.decisions import repository
from backend.scheduling.decisions.documents import CauseKind, DecisionCause, Withdrawal
from backend.scheduling.documents import SeatClaim, SlotState
from backend.scheduling.hours.repository import find_active_ids, find_clinics_of, find_leave
from backend.scheduling.slots import repository as slots

ABANDONED = timedelta(minutes=2)
"""How long after its begin a withdrawal is taken up by the job: longer than any request."""

_TRIES = 10


async def begin(
    kind: CauseKind,
    *,
    subject: PydanticObjectId | None = None,
    doctor_id: PydanticObjectId | None = None,
    clinic_id: PydanticObjectId | None = None,
) -> Withdrawal:
    """Stores a withdrawal, before the change that it stands for. Give a doctor, or else a clinic."""
    withdrawal = Withdrawal(
        kind=kind, subject=subject, doctor_id=doctor_id, clinic_id=clinic_id, due_at=utc_now() + ABANDONED
    )
    await repository.insert(withdrawal)
    return withdrawal


async def settle(withdrawal: Withdrawal) -> None:
    """Gives every appointment of a withdrawal its mark, or clears the marks if its cause is no longer in force."""
    if withdrawal.subject is not None:
        for _ in range(_TRIES):
            hit = await _hit_by(withdrawal)
            if hit is None:
                await repository.clear(withdrawal.cause)
            else:
                await repository.mark(hit, withdrawal.cause)
            # Written first, read after: who changed the cause in between either sees the marks, or is seen here.
            if (await _hit_by(withdrawal) is None) == (hit is None):
                break
    await _compare_with_slots(withdrawal)
    await repository.delete(withdrawal)


async def find_without_slot(whose: Mapping[str, PydanticObjectId]) -> list[SeatClaim]:
    """Returns a doctor's or a clinic's future appointments whose slots were withdrawn.

    Fit-ins after hours have none. They are among them where the doctor no longer works.
    """
    states = [SlotState.CLOSED, SlotState.CLOSING, SlotState.REMOVED]
    ahead = {"start": {"$gt": utc_now()}}
    found = await claims.find_booked_in(await slots.find_active({**whose, "state": {"$in": states}, **ahead}))
    known = {each.id for each in found}
    elsewhere = await elsewhere_now(await claims.find_booked({**whose, "overbooked": True, **ahead}))
    return [*found, *(each for each in elsewhere if each.id not in known)]


async def elsewhere_now(appointments: Sequence[SeatClaim]) -> list[SeatClaim]:
    """Returns those of some appointments whose doctor no longer works at their clinic."""
    if not appointments:
        return []
    works_at = await find_clinics_of([each.doctor_id for each in appointments if each.doctor_id])
    return [each for each in appointments if each.doctor_id and each.clinic_id not in works_at[each.doctor_id]]


async def _hit_by(withdrawal: Withdrawal) -> list[SeatClaim] | None:
    """Returns the appointments that a withdrawal hits and that aren't over; None if it is not in force."""
    where = await _time_of(withdrawal)
    if where is None:
        return None
    return [each for each in await claims.find_booked(where) if each.end and each.end > withdrawal.begun_at]


async def _time_of(withdrawal: Withdrawal) -> Mapping[str, object] | None:
    """Returns the filter for the appointments in the withdrawn time; None if the withdrawal is not in force."""
    subject, whose = withdrawal.subject, withdrawal.whose
    assert subject is not None  # noqa: S101 - `settle` asks
    match withdrawal.kind:
        case CauseKind.LEAVE:
            leave = await find_leave(subject, doctor_id=whose["doctor_id"])
            return leave and {**whose, "start": {"$lt": leave.end}, "end": {"$gt": leave.start}}
        case CauseKind.CLOSURE:
            clinics = await read_clinics([whose["clinic_id"]])
            found = [each for clinic in clinics.values() for each in clinic.closures if each.id == subject]
            return {**whose, "start": {"$lt": found[0].end}, "end": {"$gt": found[0].start}} if found else None
        case CauseKind.SLOT:
            slot = await claims.find_slot(subject)
            return claims.in_slots([subject]) if slot is not None and slot.is_removed else None
        case _:
            return None if await _is_active(withdrawal) else {**whose, "end": {"$gt": withdrawal.begun_at}}


async def _is_active(withdrawal: Withdrawal) -> bool:
    assert withdrawal.subject is not None  # noqa: S101 - it is of a doctor or a clinic
    if withdrawal.kind is CauseKind.DOCTOR:
        return bool(await find_active_ids([withdrawal.subject]))
    return any(clinic.is_active for clinic in (await read_clinics([withdrawal.subject])).values())


async def _compare_with_slots(withdrawal: Withdrawal) -> None:
    """Clears the marks of appointments that have their slot back, and marks those that have none and no mark yet."""
    whose = withdrawal.whose
    marked = await repository.find_marked_without_slot(whose)
    without = {each.id for each in await find_without_slot(whose)} | await _fit_ins_without_slot(marked)
    now = utc_now()  # slots that have begun are not among those without
    back = [each.id for each in marked if each.id not in without and each.start and each.start > now]
    await repository.clear_without_slot([each for each in back if each is not None])
    cause = DecisionCause(kind=CauseKind.HOURS, since=withdrawal.begun_at)
    await repository.mark(await find_without_slot(whose), cause, only_unmarked=True)


async def _fit_ins_without_slot(marked: Sequence[SeatClaim]) -> set[PydanticObjectId | None]:
    """Returns the fit-ins of which a slot is not open. It may be gone: a fit-in without a seat holds none."""
    fit_ins = [each for each in marked if each.overbooked]
    if not fit_ins:
        return set()
    ids = list({slot_id for each in fit_ins for slot_id in each.slot_ids})
    is_open = {slot.id for slot in await slots.find_active({"_id": {"$in": ids}, "state": SlotState.OPEN})}
    return {each.id for each in fit_ins if not is_open.issuperset(each.slot_ids)}
