"""Brings a doctor's slots in line with the facts: weekly hours, leave, closures, opening hours, who is active.

Whoever changes a fact writes it first and reconciles then. It may run any number of times, in any number of
processes at once, and may die at any instruction: the next run ends what it began.

A new slot is pending until the facts were read once more and had not changed. A withdrawal counts up the
revision of each slot that it finds, and a slot is opened only at the revision at which it was read. So either
the one who opens has read the new fact, or the one who wrote it finds the slot: none stays open against it.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from beanie import PydanticObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError

from backend.core.clock import utc_now
from backend.core.mongo.updates import changes
from backend.scheduling import availability
from backend.scheduling.availability_inputs import DoctorSchedule, read_schedule, shown_names, slot_for
from backend.scheduling.documents import SEATS_PER_GENERATION, Slot, SlotSource, SlotState
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.outcome import SyncResult
from backend.scheduling.slots import seats

HINDSIGHT = timedelta(hours=1)
"""Slots that began a moment ago are withdrawn too: a booking that read one in time may still be on its way."""

_MOST_ATTEMPTS = 20
_AT_ONCE = 500
"""Slots of one write, so that other requests come in between."""

_DUPLICATE_KEY = 11000


Offers = dict[datetime, availability.Offer]
"""By start."""


async def reconcile(doctor_id: PydanticObjectId) -> SyncResult:
    """Makes the doctor's future slots what the facts ask for. Raises `ScheduleBusy` if these don't come to rest."""
    done = SyncResult()
    for _ in range(_MOST_ATTEMPTS):
        now = utc_now()
        book = await read_schedule(doctor_id, now=now)
        if book is None:
            return done
        wanted = await _offers(book.facts, now)
        present = await _active_slots(doctor_id, since=now - HINDSIGHT)
        stale = await _stale(present, book, wanted, now)
        no_longer_removed = await _no_longer_removed(present, book, now)
        await withdraw(slot.slot_id for slot in stale)
        await let_go(slot.slot_id for slot in no_longer_removed)
        done += SyncResult(withdrawn=sum(slot.state is SlotState.OPEN for slot in stale))
        if stale or no_longer_removed:
            present = await _active_slots(doctor_id, since=now - HINDSIGHT)
        await _insert_missing(book, wanted, present, now)
        candidates = await _active_slots(doctor_id, since=now, states=[SlotState.PENDING, SlotState.CLOSED])
        again = await read_schedule(doctor_id, now=now)
        if again is not None and again.agrees_with(book):
            uneven = await _uneven(candidates, wanted)
            fitting = [s for s in candidates if fits(s, book, wanted, now) and s.slot_id not in uneven]
            outdated = [s for s in present if fits(s, book, wanted, now) and _is_outdated(s, book)]
            opened = await _open(book, fitting, wanted)
            done += SyncResult(opened=opened)
            if opened + await _open(book, outdated, wanted) == len(fitting) + len(outdated):
                return done
            # Somebody else has changed some of them meanwhile, and may be through with this doctor: look again.
    raise ScheduleBusy


async def _offers(facts: availability.AvailabilityInputs, now: datetime) -> Offers:
    # In a thread: a year of short slots takes long enough to hold up everybody else's requests.
    offers = await asyncio.to_thread(availability.offers, facts, since=now - HINDSIGHT, now=now)
    return {offer.span.start: offer for offer in offers}


def fits(slot: Slot, book: DoctorSchedule, wanted: Offers, now: datetime) -> bool:
    """Whether the facts allow a slot. One of the weekly hours must still be among their offers."""
    clinic = book.facts.clinics.get(slot.clinic_id)
    if clinic is None or clinic.time_zone != slot.time_zone:
        return False
    if slot.source is SlotSource.STAFF:
        return availability.is_possible(
            book.facts, slot.clinic_id, availability.Span(slot.start, slot.end), now
        )
    return _is_among(slot, wanted)


def _is_among(slot: Slot, offers: Offers) -> bool:
    offer = offers.get(slot.start)
    return offer is not None and offer.span.end == slot.end and offer.clinic_id == slot.clinic_id


async def _stale(present: list[Slot], book: DoctorSchedule, wanted: Offers, now: datetime) -> list[Slot]:
    """The slots that must be withdrawn. One that is withdrawn already and still has patients is only held closed."""
    uneven = await _uneven(present, wanted)
    stale = [slot for slot in present if _is_stale(slot, book, wanted, now)]
    stale_ids = {slot.slot_id for slot in stale}
    closed = [slot.slot_id for slot in stale if slot.state is SlotState.CLOSED]
    settled = await seats.booked_in(closed) if closed else set()
    settled -= {slot_id for slot_id, can_be_mended in uneven.items() if can_be_mended}
    opened = await _hold_closed(settled)
    again = [slot for slot in present if uneven.get(slot.slot_id) and slot.slot_id not in stale_ids]
    return [slot for slot in stale if slot.slot_id not in settled] + again + opened


async def _hold_closed(slot_ids: set[PydanticObjectId]) -> list[Slot]:
    """Counts up the revision of closed slots, so that nobody opens them who read them under older facts.

    Answers with those that were opened just before: they must be withdrawn after all.
    """
    if not slot_ids:
        return []
    where = {"_id": {"$in": list(slot_ids)}, "is_active": True}
    await Slot.get_pymongo_collection().update_many(
        {**where, "state": SlotState.CLOSED}, {"$inc": {"revision": 1}}
    )
    return await Slot.find({**where, "state": SlotState.OPEN}).to_list()


def _is_stale(slot: Slot, book: DoctorSchedule, wanted: Offers, now: datetime) -> bool:
    """Whether a slot must be withdrawn: it doesn't fit, or another process died withdrawing it.

    A change of capacity withdraws too: seats are dealt anew when the slot opens again.
    """
    if slot.state is SlotState.REMOVED:
        return False
    if slot.state is SlotState.CLOSING or not fits(slot, book, wanted, now):
        return True
    offer = wanted.get(slot.start)
    of_hours = slot.source is SlotSource.HOURS and slot.state is SlotState.OPEN
    return of_hours and offer is not None and offer.capacity != slot.capacity


async def _uneven(slots: Iterable[Slot], wanted: Offers) -> dict[PydanticObjectId, bool]:
    """The closed slots with patients on seats beyond the capacity that they would open with.

    Opened like that, a slot would deal its lower seats to others and be overfull: it stays closed. True where
    withdrawing it once more seats its patients together, False where they are more than it would hold.
    """
    closed = [slot for slot in slots if slot.state is SlotState.CLOSED]
    if not closed:
        return {}
    held = await seats.held(closed)
    found = {}
    for slot in closed:
        taken, capacity = held.get(slot.slot_id, []), _capacity(slot, wanted)
        if any(seat >= slot.first_seat + capacity for seat in taken):
            found[slot.slot_id] = len(taken) <= capacity
    return found


def _capacity(slot: Slot, wanted: Offers) -> int:
    """The capacity with which a slot is to open: that of the weekly hours where it comes from them."""
    offer = wanted.get(slot.start)
    return offer.capacity if offer and slot.source is SlotSource.HOURS else slot.capacity


async def _no_longer_removed(present: list[Slot], book: DoctorSchedule, now: datetime) -> list[Slot]:
    """What was removed by hand and need not be remembered: the hours don't ask for it any more, nobody is in it.

    Leave and closures don't count here. They come and go, and must not bring back what was removed.
    """
    removed = [slot for slot in present if slot.state is SlotState.REMOVED]
    if not removed:
        return []
    asked_for = await _offers(availability.without_absence(book.facts), now)
    kept = await seats.booked_in(slot.slot_id for slot in removed)
    return [slot for slot in removed if not _is_among(slot, asked_for) and slot.slot_id not in kept]


def _is_outdated(slot: Slot, book: DoctorSchedule) -> bool:
    """Whether an open slot bears an old name or limit: of two changes at once, the earlier may be copied last."""
    names = shown_names(book.doctor, book.clinics[slot.clinic_id])
    return slot.state is SlotState.OPEN and any(getattr(slot, name) != names[name] for name in names)


async def _active_slots(
    doctor_id: PydanticObjectId, *, since: datetime, states: list[SlotState] | None = None
) -> list[Slot]:
    query = {"doctor_id": doctor_id, "is_active": True, "start": {"$gt": since}}
    if states:
        query["state"] = {"$in": states}
    found = Slot.find(query, batch_size=_AT_ONCE).sort("start", "_id")
    return [slot async for slot in found]


async def _insert_missing(book: DoctorSchedule, wanted: Offers, present: list[Slot], now: datetime) -> None:
    """Writes the slots that are wanted and not there, as pending."""
    there = {slot.start for slot in present}
    missing = []
    for start, offer in wanted.items():
        if start not in there and start > now:
            zone = ZoneInfo(book.facts.clinics[offer.clinic_id].time_zone)
            missing.append(
                slot_for(
                    book,
                    clinic_id=offer.clinic_id,
                    span=offer.span,
                    capacity=offer.capacity,
                    day=availability.local_day(start, zone).isoformat(),
                    ticks=availability.ticks(offer.span),
                )
            )
    await insert_new(missing)


async def insert_new(slots: list[Slot]) -> None:
    """Writes slots. Where the doctor's time is held already, it stays held and the slot is left out."""
    for some in _batches(slots):
        await _insert_some(some)


def _batches(slots: list[Slot]) -> Iterator[list[Slot]]:
    for first in range(0, len(slots), _AT_ONCE):
        yield slots[first : first + _AT_ONCE]


def _raw(slot: Slot) -> dict[str, Any]:
    """A slot as it is stored. By hand: a horizon is a thousand of them, and Beanie's way takes twice as long."""
    return {
        "_id": slot.id or PydanticObjectId(),
        **slot.model_dump(exclude={"id", "revision_id"}, exclude_none=True),
    }


async def _insert_some(slots: list[Slot]) -> None:
    try:
        await Slot.get_pymongo_collection().insert_many([_raw(slot) for slot in slots], ordered=False)
    except BulkWriteError as error:
        if any(fault["code"] != _DUPLICATE_KEY for fault in error.details["writeErrors"]):
            raise


async def _open(book: DoctorSchedule, slots: list[Slot], wanted: Offers) -> int:
    """Opens slots at the revision at which they were read, with the names and capacity of the present facts."""
    opened = 0
    for some in _batches(slots):
        updates = [
            UpdateOne(
                {"_id": slot.id, "revision": slot.revision, "state": slot.state, "is_active": True},
                changes(
                    {
                        **shown_names(book.doctor, book.clinics[slot.clinic_id]),
                        "state": SlotState.OPEN,
                        "capacity": _capacity(slot, wanted),
                        **{"known_full": False, "marking": None},
                    }
                ),
            )
            for slot in some
        ]
        opened += (await Slot.get_pymongo_collection().bulk_write(updates, ordered=False)).modified_count
    return opened


async def open_slots(book: DoctorSchedule, slots: list[Slot]) -> None:
    """Opens pending slots of the staff's, save those that were withdrawn meanwhile."""
    await _open(book, slots, {})


async def withdraw(slot_ids: Iterable[PydanticObjectId]) -> None:
    """Takes slots out of the book. When it returns, nothing can be booked in them any more.

    A slot keeps its time while booked appointments remain in it, so that nothing else is offered over them. What was
    removed by hand stays removed.
    """
    ids = list(slot_ids)
    if not ids:
        return
    collection = Slot.get_pymongo_collection()
    where = {"_id": {"$in": ids}, "is_active": True}
    await collection.update_many(
        {**where, "state": {"$ne": SlotState.REMOVED}},
        {"$set": {"state": SlotState.CLOSING}, "$inc": {"revision": 1}},
    )
    closing = Slot.find({**where, "state": SlotState.CLOSING}, batch_size=_AT_ONCE)
    for some in _batches([slot async for slot in closing]):
        await _end_rounds(some)


async def remove(slot_id: PydanticObjectId) -> bool:
    """Takes a slot out of the book by hand; False if it isn't there any more. Nothing can be booked in it then.

    That it is removed is known from the first write on: of all who bring the book in line meanwhile, none ends this
    in his own way, and each ends it before he answers.
    """
    raw = await Slot.get_pymongo_collection().find_one_and_update(
        {"_id": slot_id, "is_active": True},
        {"$set": {"state": SlotState.CLOSING, "is_removed": True}, "$inc": {"revision": 1}},
        return_document=ReturnDocument.AFTER,
    )
    if raw is None:
        return False
    await _end_rounds([Slot.model_validate(raw)])
    return True


async def _end_rounds(closing: list[Slot]) -> None:
    """Takes every seat of closing slots, and says then that they are closed, or removed."""
    if not closing:
        return
    await seats.take_all(closing)
    still_booked = await seats.booked_in(slot.slot_id for slot in closing)
    updates = []
    for slot in closing:
        state = SlotState.REMOVED if slot.is_removed else SlotState.CLOSED
        is_active = slot.is_removed or slot.slot_id in still_booked
        updates.append(
            UpdateOne(
                _as_read(slot),
                {
                    "$set": {"state": state, "is_active": is_active},
                    "$inc": {"first_seat": SEATS_PER_GENERATION},
                },
            )
        )
    await Slot.get_pymongo_collection().bulk_write(updates, ordered=False)


def _as_read(slot: Slot) -> dict[str, Any]:
    """The filter for a closing slot whose round nobody has ended since it was read.

    Several may withdraw a slot at once, but its round may end only once: were it ended twice, the appointments in it
    would be left a round behind, on seats that nobody counts.
    """
    return {
        "_id": slot.id,
        "state": SlotState.CLOSING,
        "revision": slot.revision,
        "first_seat": slot.first_seat,
    }


async def let_go(slot_ids: Iterable[PydanticObjectId]) -> None:
    """Withdraws slots like any others, those too that were removed by hand: the hours may bring them back."""
    ids = list(slot_ids)
    if not ids:
        return
    removed = {"_id": {"$in": ids}, "is_active": True, "state": SlotState.REMOVED}
    await Slot.get_pymongo_collection().update_many(
        removed, {"$set": {"state": SlotState.CLOSING, "is_removed": False}}
    )
    await withdraw(ids)
