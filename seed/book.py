"""The demo's appointments, three weeks back and three ahead, in every status, each made by its own transitions."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from beanie import PydanticObjectId

from backend.accounts.documents import User
from backend.appointments import transitions
from backend.appointments.booking.book import BookingRequest
from backend.appointments.booking.book import book as book_appointment
from backend.appointments.booking.reschedule import reschedule
from backend.appointments.documents import Appointment
from backend.appointments.errors import DayFull, NotEnoughTime, PatientDoubleBooked, SlotTaken
from backend.appointments.permissions import SYSTEM, Actor
from backend.core import clock
from backend.core.http.pagination import PageRequest
from backend.core.http.time_range import TimeRange
from backend.directory.visit_types.documents import VisitType
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.runs import Visit
from backend.scheduling.slots.search import SlotQuery, find_open
from backend.scheduling.slots.slot_sync import reconcile
from seed.people import REASONS
from seed.progress import Progress
from seed.staff import DOCTORS, People
from seed.world import VISIT_TYPES

PAST = 200
AHEAD = 140
APPOINTMENTS = PAST + AHEAD
RECORDS = APPOINTMENTS + DOCTORS
"""What `fill` counts as progress."""

_PAST_ENDS = ("completed",) * 12 + ("cancelled",) * 4 + ("no_show",) * 3 + ("checked_in", "left")
_AHEAD_STANDS = ("scheduled",) * 10 + ("confirmed",) * 4 + ("cancelled",) * 3 + ("rescheduled",) * 2
_DAYS = 21
_TRIES = 20


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to become of one appointment. `day` counts from the anchor, back or ahead."""

    number: int
    random: Random
    outcome: str
    doctor: User
    day: int

    @property
    def key(self) -> str:
        """The booking's idempotency key: a later run books nothing twice."""
        return f"seed-{self.number}"


async def fill(people: People, *, random_seed: int, anchor: datetime, progress: Progress) -> None:
    """Makes the past day by day, then the slots up to the horizon, then the appointments ahead.

    The clock belongs to the whole process, so only what happens at one moment can be made at the same time.
    """
    plans = [_plan(people, random_seed, number) for number in range(APPOINTMENTS)]
    done = await _booked_before(people, plans)
    progress.update(len(done))
    progress.phase("past appointments")
    for day in range(_DAYS, 0, -1):
        todays = [plan for plan in plans[:PAST] if plan.day == day and plan.key not in done]
        await _past_day(people, todays, anchor - timedelta(days=day), anchor)
        progress.update(len(todays))
    with clock.stopped(anchor):
        progress.phase("slots up to the horizon")
        await asyncio.gather(*(_extend(doctor, progress) for doctor in people.doctors))
        progress.phase("appointments ahead")
        todo = [plan for plan in plans[PAST:] if plan.key not in done]
        await asyncio.gather(*(_ahead(people, some, anchor, progress) for some in _by_doctor(todo)))


def _plan(people: People, random_seed: int, number: int) -> _Plan:
    random = Random(f"{random_seed}-{number}")
    outcome = random.choice(_PAST_ENDS if number < PAST else _AHEAD_STANDS)
    # Only one clinic lets patients confirm days ahead.
    early = number >= PAST and outcome == "confirmed"
    doctor = random.choice(people.early_confirmers if early else people.doctors)
    return _Plan(number, random, outcome, doctor, day=random.randint(1, _DAYS))


def _by_doctor(plans: Iterable[_Plan]) -> list[list[_Plan]]:
    """One list for each doctor: made at the same time, two of one doctor would draw the same slot."""
    found: dict[PydanticObjectId, list[_Plan]] = {}
    for plan in plans:
        found.setdefault(plan.doctor.user_id, []).append(plan)
    return list(found.values())


async def _booked_before(people: People, plans: list[_Plan]) -> set[str]:
    """The keys that an interrupted run has booked already."""
    query = {"created_by": people.nurses[0].user_id, "idempotency_key": {"$in": [plan.key for plan in plans]}}
    return {row.idempotency_key or "" for row in await Appointment.find(query).to_list()}


async def _past_day(people: People, plans: list[_Plan], day: datetime, anchor: datetime) -> None:
    booked: list[tuple[_Plan, Appointment]] = []

    async def book_all(some: list[_Plan]) -> None:
        for plan in some:
            appointment = await _book(people, plan, since=day, until=day + timedelta(days=2))
            if appointment is not None and appointment.end <= anchor:
                booked.append((plan, appointment))

    with clock.stopped(day - timedelta(days=2)):
        await asyncio.gather(*(book_all(some) for some in _by_doctor(plans)))
    for plan, appointment in booked:
        await _carry_out(people, plan, appointment)


async def _carry_out(people: People, plan: _Plan, booked: Appointment) -> None:
    patient, nurse = Actor.of(people.account_of(booked.patient_id)), Actor.of(people.nurses[0])
    if plan.outcome == "cancelled":
        with clock.stopped(booked.start - timedelta(hours=20)):
            await transitions.cancel(booked, patient, reason="I can't come")
        return
    with clock.stopped(booked.start - timedelta(minutes=90)):
        booked = await transitions.confirm(booked, patient)
    if plan.outcome == "no_show":
        with clock.stopped(booked.start + timedelta(minutes=16)):
            await transitions.no_show(booked, SYSTEM)
        return
    with clock.stopped(booked.start - timedelta(minutes=5)):
        booked = await transitions.check_in(booked, nurse)
    if plan.outcome == "left":
        with clock.stopped(booked.start + timedelta(minutes=10)):
            await transitions.left(booked, nurse)
    if plan.outcome == "completed":
        with clock.stopped(booked.end):
            await transitions.complete(booked, Actor.of(plan.doctor))


async def _extend(doctor: User, progress: Progress) -> None:
    await reconcile(doctor.user_id)
    progress.update()


async def _ahead(people: People, plans: list[_Plan], anchor: datetime, progress: Progress) -> None:
    for plan in plans:
        await _one_ahead(people, plan, anchor)
        progress.update()


async def _one_ahead(people: People, plan: _Plan, anchor: datetime) -> None:
    since = anchor + timedelta(days=plan.day)
    until = since + timedelta(days=4)
    if plan.outcome == "confirmed":
        since, until = anchor + timedelta(hours=4), anchor + timedelta(hours=47)
    booked = await _book(people, plan, since=since, until=until)
    if booked is None:
        return
    patient, nurse = people.account_of(booked.patient_id), people.nurses[0]
    if plan.outcome == "confirmed":
        await transitions.confirm(booked, Actor.of(patient))
    elif plan.outcome == "cancelled":
        await transitions.cancel(booked, Actor.of(nurse), reason="The doctor is at a congress")
    elif plan.outcome == "rescheduled":
        visit_type = await VisitType.get(booked.visit_type_id) if booked.visit_type_id else None
        slot = await _slot(plan, since=until, until=until + timedelta(days=7), visit_type=visit_type)
        if slot is not None:
            await reschedule(booked, patient, to=slot.id)


async def _book(people: People, plan: _Plan, *, since: datetime, until: datetime) -> Appointment | None:
    """Books one free slot of the doctor for a patient; None where none is free."""
    # Drawn once, so that who comes doesn't depend on which of two doctors was faster.
    patient, reason = plan.random.choice(people.patients), plan.random.choice(REASONS)
    visit_type = await _visit_type(plan)
    for _ in range(_TRIES):
        slot = await _slot(plan, since=since, until=until, visit_type=visit_type)
        if slot is None:
            return None
        request = BookingRequest(
            slot_id=slot.id,
            visit_type_id=visit_type and visit_type.visit_type_id,
            patient_id=patient.patient_id,
            reason=reason,
            idempotency_key=plan.key,
        )
        try:
            return (await book_appointment(people.nurses[0], request)).appointment
        except (PatientDoubleBooked, SlotTaken, NotEnoughTime, DayFull):
            continue
    return None


async def _visit_type(plan: _Plan) -> VisitType | None:
    """Returns what the visit is; None for every second one: a plain visit of one slot."""
    online = [given["names"]["en"] for given in VISIT_TYPES if "bookable_by" not in given]
    name = online[plan.number // 2 % len(online)]
    if plan.number % 2 or plan.doctor.doctor is None:
        return None
    return await VisitType.find_one({"clinic_id": plan.doctor.doctor.clinic_ids[0], "name": name})


async def _slot(
    plan: _Plan, *, since: datetime, until: datetime, visit_type: VisitType | None = None
) -> OpenSlot | None:
    visit = visit_type and Visit.of(visit_type)
    query = SlotQuery(doctor_id=plan.doctor.user_id, times=TimeRange(start=since, end=until), visit=visit)
    found, _ = await find_open(query, PageRequest(limit=40))
    return plan.random.choice(found) if found else None
