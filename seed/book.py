"""The demo's appointments: a month behind and a month ahead, in every status, each lived through by its steps."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tqdm import tqdm

from backend.accounts.documents import User
from backend.appointments import transitions
from backend.appointments.booking.book import BookingRequest
from backend.appointments.booking.book import book as book_appointment
from backend.appointments.booking.reschedule import reschedule
from backend.appointments.documents import Appointment
from backend.appointments.errors import DayFull, PatientDoubleBooked, SlotTaken
from backend.appointments.permissions import SYSTEM, Actor
from backend.core import clock
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.search import SlotQuery, find_open
from backend.scheduling.slots.slot_sync import reconcile
from seed.people import REASONS
from seed.staff import People

PAST = 220
AHEAD = 160
APPOINTMENTS = PAST + AHEAD

_PAST_ENDS = ("completed",) * 12 + ("cancelled",) * 4 + ("no_show",) * 3 + ("checked_in",)
_AHEAD_STANDS = ("scheduled",) * 10 + ("confirmed",) * 4 + ("cancelled",) * 3 + ("rescheduled",) * 2
_TRIES = 20


async def fill(people: People, *, random_seed: int, anchor: datetime, progress: "tqdm[Any]") -> None:
    """Books and carries out the past, brings the book up to the present, then books ahead."""
    for number in range(PAST):
        random = Random(f"{random_seed}-{number}")
        await _past(people, random, number, anchor)
        progress.update()
    with clock.stopped(anchor):
        for doctor in people.doctors:
            await reconcile(doctor.user_id)
        for number in range(PAST, APPOINTMENTS):
            await _ahead(people, Random(f"{random_seed}-{number}"), number, anchor)
            progress.update()


async def _past(people: People, random: Random, number: int, anchor: datetime) -> None:
    day = anchor - timedelta(days=random.randint(1, 28))
    booked_at = day - timedelta(days=2)
    doctor, ends = random.choice(people.doctors), random.choice(_PAST_ENDS)
    with clock.stopped(booked_at):
        booked = await _book(people, random, number, doctor, since=day, until=day + timedelta(days=2))
    if booked is None or booked.end > anchor:
        return  # made by an earlier run, or a doctor with nothing free on these days
    patient = Actor.of(people.patient(booked.patient_id))
    if ends == "cancelled":
        with clock.stopped(booked.start - timedelta(hours=20)):
            await transitions.cancel(booked, patient, reason="I can't come")
        return
    with clock.stopped(booked.start - timedelta(minutes=90)):
        booked = await transitions.confirm(booked, patient)
    if ends == "no_show":
        with clock.stopped(booked.start + timedelta(minutes=16)):
            await transitions.no_show(booked, SYSTEM)
        return
    with clock.stopped(booked.start - timedelta(minutes=5)):
        booked = await transitions.check_in(booked, Actor.of(people.nurses[0]))
    if ends == "completed":
        with clock.stopped(booked.end):
            await transitions.complete(booked, Actor.of(doctor))


async def _ahead(people: People, random: Random, number: int, anchor: datetime) -> None:
    stands = random.choice(_AHEAD_STANDS)
    if stands == "confirmed":
        # Only one clinic lets patients confirm days ahead; its doctors, and the hours just before us.
        doctor = random.choice(people.early_confirmers)
        since, until = anchor + timedelta(hours=4), anchor + timedelta(hours=47)
    else:
        doctor = random.choice(people.doctors)
        since = anchor + timedelta(days=random.randint(1, 28))
        until = since + timedelta(days=4)
    booked = await _book(people, random, number, doctor, since=since, until=until)
    if booked is None:
        return
    patient = people.patient(booked.patient_id)
    if stands == "confirmed":
        await transitions.confirm(booked, Actor.of(patient))
    elif stands == "cancelled":
        await transitions.cancel(booked, Actor.of(people.nurses[0]), reason="The doctor is at a congress")
    elif stands == "rescheduled":
        slot = await _slot(random, doctor, since=until, until=until + timedelta(days=7))
        if slot is not None:
            await reschedule(booked, patient, to=slot.slot_id)


async def _book(
    people: People, random: Random, number: int, doctor: User, *, since: datetime, until: datetime
) -> Appointment | None:
    """Books one free slot of the doctor for somebody; None if the number was booked by an earlier run already."""
    key = f"seed-{number}"
    if await Appointment.find_one({"created_by": people.nurses[0].user_id, "idempotency_key": key}):
        return None
    for _ in range(_TRIES):
        slot = await _slot(random, doctor, since=since, until=until)
        if slot is None:
            return None
        request = BookingRequest(
            slot_id=slot.slot_id,
            patient_id=random.choice(people.patients).user_id,
            reason=random.choice(REASONS),
            idempotency_key=key,
        )
        try:
            return (await book_appointment(people.nurses[0], request)).appointment
        except (PatientDoubleBooked, SlotTaken, DayFull):
            continue
    return None


async def _slot(random: Random, doctor: User, *, since: datetime, until: datetime) -> OpenSlot | None:
    found, _ = await find_open(SlotQuery(doctor_id=doctor.user_id, since=since, until=until), limit=60)
    return random.choice(found) if found else None
