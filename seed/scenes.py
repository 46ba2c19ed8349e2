"""What a day at the desk has besides plain visits: a family, a nurse who is a patient, booked time that is withdrawn,
an urgent case.

Each scene is a function of its own, made at the demo's moment, and finds what an earlier run made.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta

from beanie import PydanticObjectId

from backend.accounts.access import in_hat
from backend.accounts.documents import User
from backend.appointments.booking.book import BookingRequest
from backend.appointments.booking.book import book as book_appointment
from backend.appointments.booking.fit_in import FitInRequest, book_fit_in
from backend.appointments.documents import Appointment
from backend.core import clock
from backend.core.http.pagination import PageRequest
from backend.core.http.time_range import TimeRange
from backend.core.settings import settings
from backend.directory.visit_types.documents import VisitType
from backend.patients.documents import Patient, Relation
from backend.patients.links.acting import find_own, patients_of
from backend.patients.links.grants import add_dependant, grant_link
from backend.patients.records import create_patient
from backend.patients.schemas import NewDependant, NewLink, NewPatient
from backend.scheduling.documents import Leave
from backend.scheduling.hours.working_hours import take_leave
from backend.scheduling.slots.runs import Visit
from backend.scheduling.slots.search import SlotQuery, find_open
from seed.progress import Progress
from seed.staff import People

NEARLY_OF_AGE = timedelta(days=20)
"""So long after the demo's moment the eldest child comes of age."""

_CHILDREN = (("Nora Castillo", 17), ("Leo Castillo", 9), ("Mia Castillo", 4))
_VISITS = (("Video visit", 9), ("First visit", 6), ("Follow-up", 3))
"""What each child comes for, and the number of the doctor, who is at the first clinic. A first visit takes several of
that doctor's slots, a video visit takes place online."""

_KNEE_DOCTOR = 12


async def add(people: People, *, anchor: datetime, progress: Progress) -> None:
    """Makes the scenes, one after the other."""
    progress.phase("families and exceptions")
    with clock.stopped(anchor):
        for scene in SCENES:
            await scene(people, anchor)
            progress.update()


async def _family(people: People, anchor: datetime) -> None:
    """The first patient has three children, whose messages go to her phone, and who have an appointment each."""
    mother = people.patients[0].account
    ours = {each.name: each.patient_id for each in await patients_of(mother)}
    for (name, age), (visit, doctor) in zip(_CHILDREN, _VISITS, strict=True):
        if name not in ours:
            born = _born(age, anchor)
            ours[name] = (
                await add_dependant(mother, NewDependant(name=name, date_of_birth=born, relation="parent"))
            ).patient_id
        await _book(mother, ours[name], people.doctors[doctor - 1], visit=visit, key=f"seed-{name}", anchor=anchor)


def _born(age: int, anchor: datetime) -> date:
    """Returns the date of birth of a child who is so old; a child of 17 comes of age soon."""
    if age + 1 == settings.ADULT_AGE:
        anchor, age = anchor + NEARLY_OF_AGE, age + 1
    return (anchor - timedelta(days=round(age * 365.25))).date()


async def _nurse_who_is_a_patient(people: People, anchor: datetime) -> None:
    """The first nurse books for herself, with `as_patient`. A colleague has to check her in."""
    nurse = people.nurses[0]
    own = await find_own(nurse, None)
    if own is None:
        # An interrupted run may have left the record without the link.
        left = await Patient.find_one({"is_active": True, "phone": nurse.phone})
        new = NewPatient(name=nurse.name, email=nurse.email, phone=nurse.phone, confirm_new=True)
        record = left or await create_patient(new)
        await grant_link(people.admin, record.patient_id, NewLink(user_id=nurse.user_id, relation=Relation.SELF))
    await _book(
        in_hat(nurse, as_patient=True), None, people.doctors[_KNEE_DOCTOR - 1], key="seed-own-knee", anchor=anchor
    )


async def _leave_over_booked_time(people: People, anchor: datetime) -> None:
    """A doctor takes leave on the day with most appointments: somebody has to decide about each of them."""
    if await Leave.find_one({}, sort=[("_id", 1)]) is not None:
        return
    soon = {"$gte": anchor + timedelta(days=2), "$lt": anchor + timedelta(days=14)}
    booked: dict[tuple[str, PydanticObjectId], list[Appointment]] = defaultdict(list)
    doctors = {"$in": [doctor.user_id for doctor in people.doctors]}
    for each in await Appointment.find({"doctor_id": doctors, "start": soon, "active": True}).to_list():
        booked[each.clinic_day, each.doctor_id].append(each)
    (_, doctor_id), day = max(sorted(booked.items()), key=lambda found: len(found[1]))
    doctor = next(doctor for doctor in people.doctors if doctor.user_id == doctor_id)
    start, end = min(each.start for each in day), max(each.end for each in day)
    await take_leave(doctor, start=start, end=end, reason="Conference", created_by=doctor_id)


async def _urgent_case(people: People, anchor: datetime) -> None:
    """A patient is fitted in over a time that is booked already, and shown as overbooked everywhere."""
    admin, key = people.admin, "seed-urgent-case"
    if await Appointment.find_one({"created_by": admin.user_id, "idempotency_key": key}) is not None:
        return
    soon = {"$gte": anchor + timedelta(days=1), "$lt": anchor + timedelta(days=14)}
    doctors = {"$in": [doctor.user_id for doctor in people.doctors]}
    booked = {"doctor_id": doctors, "start": soon, "active": True, "needs_decision": None}
    taken = await Appointment.find_one(booked, sort=[("start", 1), ("_id", 1)])
    assert taken is not None  # noqa: S101 - the demo has appointments every day
    own_day = await Appointment.find({"clinic_day": taken.clinic_day}).to_list()
    busy = {each.patient_id for each in own_day}
    patient = next(each for each in reversed(people.patients) if each.patient_id not in busy)
    request = FitInRequest(
        doctor_id=taken.doctor_id,
        clinic_id=taken.clinic_id,
        start=taken.start,
        minutes=15,
        why="Severe pain since last night",
        patient_id=patient.patient_id,
        idempotency_key=key,
    )
    await book_fit_in(admin, request)


SCENES: tuple[Callable[[People, datetime], Awaitable[None]], ...] = (
    _family,
    _nurse_who_is_a_patient,
    _leave_over_booked_time,
    _urgent_case,
)
"""In this order. One more is one more function here."""


async def _book(
    caller: User, patient_id: PydanticObjectId | None, doctor: User, *, key: str, anchor: datetime, visit: str = ""
) -> None:
    """Books the doctor's first free time from three days ahead, as patients do; without `visit`, one slot."""
    if await Appointment.find_one({"created_by": caller.user_id, "idempotency_key": key}) is not None:
        return
    clinic_ids = doctor.doctor.clinic_ids if doctor.doctor else []
    visit_type = await VisitType.find_one({"clinic_id": {"$in": clinic_ids}, "name": visit}) if visit else None
    query = SlotQuery(
        doctor_id=doctor.user_id,
        times=TimeRange(start=anchor + timedelta(days=3), end=anchor + timedelta(days=20)),
        visit=visit_type and Visit.of(visit_type),
    )
    found, _ = await find_open(query, PageRequest(limit=1))
    request = BookingRequest(
        slot_id=found[0].id,
        visit_type_id=visit_type and visit_type.visit_type_id,
        patient_id=patient_id,
        idempotency_key=key,
    )
    await book_appointment(caller, request)
