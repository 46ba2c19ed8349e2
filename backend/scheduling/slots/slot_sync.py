"""Keeps a doctor's slots in line with their inputs: weekly hours, leave, closures, opening hours, who is active.

A change of these is written first, then reconciled. Reconciling may run any number of times, in any number of
processes at once, and may die at any instruction: the next run finishes what it began.

A new slot is pending until its inputs were read once more and had not changed. A withdrawal increments the revision
of each slot that it finds, and a slot opens only at the revision at which it was read. So either the process that
opens the slot has read the change, or the process that made the change finds the slot: none stays open against it.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.directory.errors import DoctorNotFound
from backend.scheduling import availability
from backend.scheduling import repository as claims
from backend.scheduling.availability_inputs import DoctorSchedule, online_fields, read_schedule, slot_for
from backend.scheduling.documents import Slot, SlotSource, SlotState
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.slots import repository
from backend.scheduling.slots.withdrawal import withdraw, withdraw_removed_too
from backend.scheduling.zone_correction import correct_coming

LOOKBACK = timedelta(hours=1)
"""Slots count until their end. Those that ended a moment ago are withdrawn too: a booking that read one in time may
still be on its way."""

_MOST_ATTEMPTS = 20

Offers = dict[datetime, availability.Offer]
"""By start."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """How many slots a reconciliation opened, and how many it withdrew."""

    opened: int = 0
    withdrawn: int = 0

    def __add__(self, other: "SyncResult") -> "SyncResult":
        return SyncResult(self.opened + other.opened, self.withdrawn + other.withdrawn)


async def reconcile(doctor_id: PydanticObjectId) -> SyncResult:
    """Opens and withdraws the doctor's slots as the inputs require. Raises `ScheduleBusy` if these keep changing."""
    done = SyncResult()
    try:
        for _ in range(_MOST_ATTEMPTS):
            now = utc_now()
            schedule = await read_schedule(doctor_id, now=now)
            wanted = await offers(schedule.inputs, now)
            recent = {"doctor_id": doctor_id, **repository.ending_after(now - LOOKBACK)}
            present = await repository.find_active(recent)
            stale = await _stale(present, schedule, wanted, now)
            obsolete = await obsolete_removals(present, schedule, now)
            # Those that only change their capacity open again, with their id.
            to_reopen = {slot.id for slot in stale if fits(slot, schedule, wanted, now)}
            await withdraw((slot.id for slot in stale), to_reopen=to_reopen)
            await withdraw_removed_too(slot.id for slot in obsolete)
            done += SyncResult(withdrawn=sum(slot.state is SlotState.OPEN for slot in stale))
            if stale or obsolete:
                present = await repository.find_active(recent)
            if await _correct_zones(present, schedule):
                present = await repository.find_active(recent)
            there = {slot.start for slot in present}
            missing = [offer for start, offer in wanted.items() if start not in there and start > now]
            await repository.insert_new(await _new_slots(schedule, missing))
            shut = {"$in": [SlotState.PENDING, SlotState.CLOSED]}
            candidates = await repository.find_active({**recent, "end": {"$gt": now}, "state": shut})
            again = await read_schedule(doctor_id, now=now)
            if not again.agrees_with(schedule):
                continue
            overfull = await _overfull(candidates, wanted)
            fitting = [s for s in candidates if fits(s, schedule, wanted, now) and s.id not in overfull]
            outdated = [s for s in present if fits(s, schedule, wanted, now) and _is_outdated(s, schedule)]
            opened = await open_slots(schedule, fitting, wanted)
            done += SyncResult(opened=opened)
            if opened + await open_slots(schedule, outdated, wanted) == len(fitting) + len(outdated):
                return done
            # Another process has changed some of them meanwhile, and may be done with this doctor: try again.
    except DoctorNotFound:
        return done  # users who are no doctors have no slots
    raise ScheduleBusy


async def _new_slots(schedule: DoctorSchedule, missing: Sequence[availability.Offer]) -> list[Slot]:
    """Returns the slots of the weekly hours that aren't there, with the capacities that were set for their time."""
    slots = [slot_for(schedule, offer, source=SlotSource.HOURS) for offer in missing]
    if not slots:
        return []
    starts = [slot.start for slot in slots]
    rows = await repository.find_set_capacities(schedule.doctor.user_id, starts)
    capacities = {(row["clinic_id"], row["start"], row["end"]): row["capacity_set"] for row in rows}
    for slot in slots:
        slot.capacity_set = capacities.get((slot.clinic_id, slot.start, slot.end))
    return slots


async def offers(inputs: availability.AvailabilityInputs, now: datetime) -> Offers:
    """Returns the slots that the weekly hours require, those that began a moment ago too."""
    # In a thread: a year of short slots takes long enough to hold up everybody else's requests.
    found = await asyncio.to_thread(availability.offers, inputs, since=now - LOOKBACK, now=now)
    return {offer.span.start: offer for offer in found}


def fits(slot: Slot, schedule: DoctorSchedule, wanted: Offers, now: datetime) -> bool:
    """Returns whether the inputs allow a slot. One of the weekly hours must still be among their offers."""
    clinic = schedule.inputs.clinics.get(slot.clinic_id)
    if clinic is None or clinic.time_zone != slot.time_zone:
        return False
    if slot.source is SlotSource.STAFF:
        span = availability.Span(slot.start, slot.end)
        return availability.is_possible(schedule.inputs, slot.clinic_id, span, now)
    return _is_among(slot, wanted)


def _is_among(slot: Slot, offers: Offers) -> bool:
    offer = offers.get(slot.start)
    return offer is not None and offer.span.end == slot.end and offer.clinic_id == slot.clinic_id


async def _stale(present: Sequence[Slot], schedule: DoctorSchedule, wanted: Offers, now: datetime) -> list[Slot]:
    """Returns the slots to withdraw. A closed slot that still has patients needs no withdrawal: it is held closed."""
    overfull = await _overfull(present, wanted)
    stale = [slot for slot in present if is_stale(slot, schedule, wanted, now)]
    stale_ids = {slot.id for slot in stale}
    closed = [slot.id for slot in stale if slot.state is SlotState.CLOSED]
    still_booked = await claims.find_booked_slots(closed) if closed else set()
    still_booked -= {slot_id for slot_id, has_room in overfull.items() if has_room}
    reopened = await repository.hold_closed(still_booked) if still_booked else []
    reseat = [slot for slot in present if overfull.get(slot.id) and slot.id not in stale_ids]
    return [slot for slot in stale if slot.id not in still_booked] + reseat + reopened


def is_stale(slot: Slot, schedule: DoctorSchedule, wanted: Offers, now: datetime) -> bool:
    """Returns whether a slot must be withdrawn: it doesn't fit, or another process died withdrawing it.

    A change of capacity withdraws too: the slot gets new seat numbers when it opens again.
    """
    if slot.state is SlotState.REMOVED:
        return False
    if slot.state is SlotState.CLOSING or not fits(slot, schedule, wanted, now):
        return True
    return slot.state is SlotState.OPEN and slot.capacity != opening_capacity(slot, wanted)


async def _overfull(slots: Iterable[Slot], wanted: Offers) -> dict[PydanticObjectId, bool]:
    """Returns the closed slots with patients on seats beyond the capacity with which they would open.

    If such a slot opened, others could book its lower seats and it would be overfull: it stays closed. True where
    there is room for all its patients, so that withdrawing it once more moves them to the lowest seats.
    """
    closed = [slot for slot in slots if slot.state is SlotState.CLOSED]
    if not closed:
        return {}
    first_seats = {slot.id: slot.first_seat for slot in closed}
    held: dict[PydanticObjectId, list[int]] = {}
    for holder in await claims.find_seat_holders(first_seats, **claims.IS_APPOINTMENT):
        held.setdefault(holder["slot"], []).append(holder["seat"])
    found = {}
    for slot in closed:
        taken, capacity = held.get(slot.id, []), opening_capacity(slot, wanted)
        if any(seat >= slot.first_seat + capacity for seat in taken):
            found[slot.id] = len(taken) <= capacity
    return found


def opening_capacity(slot: Slot, wanted: Offers) -> int:
    """Returns the capacity with which a slot is to open: what staff set for it, else that of the hours it is from."""
    if slot.capacity_set is not None:
        return slot.capacity_set
    offer = wanted.get(slot.start)
    return offer.capacity if offer and slot.source is SlotSource.HOURS else slot.capacity


async def obsolete_removals(present: Sequence[Slot], schedule: DoctorSchedule, now: datetime) -> list[Slot]:
    """Returns the removed slots to forget: the weekly hours no longer contain them, and nobody is booked in them.

    Leave and closures don't count here. They come and go, and must not bring back a slot that staff removed.
    """
    removed = [slot for slot in present if slot.state is SlotState.REMOVED]
    if not removed:
        return []
    usual = await offers(availability.without_absence(schedule.inputs), now)
    booked = await claims.find_booked_slots(slot.id for slot in removed)
    return [slot for slot in removed if not _is_among(slot, usual) and slot.id not in booked]


async def _correct_zones(present: Sequence[Slot], schedule: DoctorSchedule) -> bool:
    """Writes the corrected zone of a clinic onto withdrawn slots, and before that onto the appointments there.

    So a withdrawn slot that fits the hours on the new clock opens again, with its id and its patients. Returns
    whether there were any such slots.
    """
    found: dict[PydanticObjectId, list[Slot]] = {}
    for slot in present:
        clinic = schedule.clinics.get(slot.clinic_id)
        if clinic and slot.time_zone != clinic.time_zone and slot.state in (SlotState.CLOSED, SlotState.REMOVED):
            found.setdefault(slot.clinic_id, []).append(slot)
    for clinic_id, slots in found.items():
        clinic = schedule.clinics[clinic_id]
        await correct_coming(clinic, doctor_id=schedule.doctor.user_id)
        days = {slot.id: availability.local_day(slot.start, clinic.zone).isoformat() for slot in slots}
        await repository.set_zone_of_withdrawn(slots, days, time_zone=clinic.time_zone)
    return bool(found)


def _is_outdated(slot: Slot, schedule: DoctorSchedule) -> bool:
    """Returns whether an open slot has old names or limits, or has come online.

    Of two changes at once the earlier may land last, and each midnight another day comes online.
    """
    fields = {**schedule.shown[slot.clinic_id], **online_fields(schedule, slot.clinic_id, slot.start)}
    return slot.state is SlotState.OPEN and any(getattr(slot, name) != fields[name] for name in fields)


async def open_slots(schedule: DoctorSchedule, slots: Sequence[Slot], wanted: Offers | None = None) -> int:
    """Opens slots that nobody has changed since they were read, with present names and, of `wanted`, capacities."""
    fields = {
        slot.id: {
            **schedule.shown[slot.clinic_id],
            **online_fields(schedule, slot.clinic_id, slot.start),
            "capacity": opening_capacity(slot, wanted or {}),
        }
        for slot in slots
    }
    return await repository.open_unchanged(slots, fields)
