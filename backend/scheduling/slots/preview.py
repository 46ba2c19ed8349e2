"""What a change would do to a doctor's slots. It reads what reconciling reads, and writes nothing."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.directory.errors import DoctorNotFound
from backend.scheduling import availability
from backend.scheduling import repository as claims
from backend.scheduling.availability import AvailabilityInputs
from backend.scheduling.availability_inputs import read_schedule
from backend.scheduling.documents import Slot, SlotState
from backend.scheduling.slots import repository
from backend.scheduling.slots.slot_sync import (
    LOOKBACK,
    Offers,
    SyncResult,
    fits,
    is_stale,
    obsolete_removals,
    offers,
    opening_capacity,
)

Change = Callable[[AvailabilityInputs], AvailabilityInputs]


@dataclass(frozen=True, slots=True)
class Preview:
    """How many slots a change would open and withdraw, and the coming slots that would then be withdrawn."""

    result: SyncResult
    without: tuple[Slot, ...]


async def preview(doctor_id: PydanticObjectId, change: Change) -> Preview:
    """Returns what `reconcile` would do if the doctor's inputs changed like this."""
    now = utc_now()
    try:
        present_schedule = await read_schedule(doctor_id, now=now)
    except DoctorNotFound:
        return Preview(SyncResult(), ())  # users who are no doctors have no slots
    schedule = replace(present_schedule, inputs=change(present_schedule.inputs))
    wanted = await offers(schedule.inputs, now)
    present = await repository.find_active({"doctor_id": doctor_id, **repository.ending_after(now - LOOKBACK)})
    stale = {slot.id for slot in present if is_stale(slot, schedule, wanted, now)}
    patients = await _count_patients(present)
    gone = stale - await claims.find_booked_slots(stale)
    gone |= {slot.id for slot in await obsolete_removals(present, schedule, now)}
    remaining = [slot for slot in present if slot.id not in gone]
    shut = {s.id for s in remaining if s.id in stale or s.state in (SlotState.CLOSED, SlotState.PENDING)}
    reopened = {
        slot.id
        for slot in remaining
        if slot.id in shut
        and slot.start > now
        and fits(slot, schedule, wanted, now)
        and patients[slot.id] <= opening_capacity(slot, wanted)
    }
    removed = {slot.id for slot in remaining if slot.state is SlotState.REMOVED}
    return Preview(
        SyncResult(
            opened=len(reopened) + _count_missing(wanted, remaining, now),
            withdrawn=sum(slot.state is SlotState.OPEN for slot in present if slot.id in stale),
        ),
        without=tuple(s for s in remaining if s.id in shut - reopened | removed and s.start > now),
    )


def _count_missing(wanted: Offers, remaining: Sequence[Slot], now: datetime) -> int:
    """Returns how many new slots there would be: none where another slot holds the doctor's time."""
    held = {tick for slot in remaining for tick in slot.ticks}
    new = [offer.span for start, offer in wanted.items() if start > now]
    return sum(held.isdisjoint(availability.ticks(span)) for span in new)


async def _count_patients(slots: Sequence[Slot]) -> Counter[PydanticObjectId]:
    first_seats = {slot.id: slot.first_seat for slot in slots}
    return Counter(row["slot"] for row in await claims.find_seat_holders(first_seats, **claims.IS_APPOINTMENT))
