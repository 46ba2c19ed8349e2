"""Load-test data by the hundred thousand: past appointments and their slots, written in bulk.

The one place that writes to the collections directly: through the services a million would take hours. Each
document is a copy of one made by the models, so that it has their fields, and the unique indexes check all of it.
"""

import asyncio
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.errors import BulkWriteError
from tqdm import tqdm

from backend.accounts.documents import Role, User
from backend.accounts.profiles import DoctorProfile
from backend.appointments.documents import ActorRole, Appointment, HistoryEntry, Status, TransitionName
from backend.core.clock import utc_now
from backend.core.mongo.text_search import fold, words_of
from backend.directory.documents import Clinic
from backend.patients.documents import Patient
from backend.scheduling import availability
from backend.scheduling.availability_inputs import shown_names
from backend.scheduling.documents import Slot, SlotState
from seed.people import FIRST_NAMES, LAST_NAMES, REASONS, fictional_phone

_SLOTS_A_DAY = 16
_MINUTES = 30
_FIRST_MINUTE = 9 * 60
_APPOINTMENTS_PER_DOCTOR = 2000
_APPOINTMENTS_PER_PATIENT = 50
_BATCH = 2000
_WRITERS = 3
_PHONES_FROM = 5_000_000
_DUPLICATE_KEY = 11000
_STATUSES = (Status.COMPLETED,) * 14 + (Status.CANCELLED,) * 4 + (Status.NO_SHOW,) * 2

Raw = dict[str, Any]


async def fill_in_bulk(count: int, *, random_seed: int) -> None:
    """Writes `count` past appointments with their slots. A second run with the same count changes nothing."""
    random = Random(f"{random_seed}-bulk")
    clinic = await Clinic.find_one({"is_active": True}, sort=[("name_key", 1), ("_id", 1)])
    if clinic is None:
        raise RuntimeError("seed the demo first: there is no clinic")
    doctors = await _doctors(clinic, max(20, count // _APPOINTMENTS_PER_DOCTOR))
    patients = await _patients(max(len(doctors), 100, count // _APPOINTMENTS_PER_PATIENT))
    pairs = _pairs(clinic, doctors, patients, count, random)
    queue: asyncio.Queue[list[tuple[Raw, Raw]] | None] = asyncio.Queue(maxsize=_WRITERS)
    with tqdm(total=count, desc="Appointments in bulk", unit="appointment", mininterval=0.5) as progress:
        async with asyncio.TaskGroup() as group:
            for _ in range(_WRITERS):
                group.create_task(_write(queue, progress))
            batch: list[tuple[Raw, Raw]] = []
            for pair in pairs:
                batch.append(pair)
                if len(batch) == _BATCH:
                    await queue.put(batch)
                    batch = []
            await queue.put(batch)
            for _ in range(_WRITERS):
                await queue.put(None)


async def _write(queue: "asyncio.Queue[list[tuple[Raw, Raw]] | None]", progress: "tqdm[Any]") -> None:
    while batch := await queue.get():
        await _insert(Slot, [slot for slot, _ in batch])
        await _insert(Appointment, [appointment for _, appointment in batch])
        progress.update(len(batch))


async def _insert(document: type[Slot | Appointment | User | Patient], rows: list[Raw]) -> None:
    """Writes rows with fixed ids; those of an earlier run are there already."""
    if not rows:
        return
    try:
        await document.get_pymongo_collection().insert_many(rows, ordered=False)
    except BulkWriteError as error:
        if any(fault["code"] != _DUPLICATE_KEY for fault in error.details["writeErrors"]):
            raise


def _id(kind: int, number: int) -> ObjectId:
    """The same id for the same thing in every run."""
    return ObjectId(bytes([0x01, kind]) + bytes(2) + number.to_bytes(8, "big"))


async def _doctors(clinic: Clinic, count: int) -> list[User]:
    doctors = []
    for number in range(count):
        name = f"Dr. {FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number // 7 % len(LAST_NAMES)]}"
        profile = DoctorProfile(
            clinic_ids=[clinic.clinic_id],
            specialty="Load testing",
            specialty_key=fold("Load testing"),
            license_number=f"BULK-{number:06}",
            weekly_hours=[],
        )
        doctors.append(_user(1, number, name, Role.DOCTOR, doctor=profile))
    await _insert(User, [_raw(doctor) for doctor in doctors])
    return doctors


async def _patients(count: int) -> list[Patient]:
    """Patients without an account, as the front desk enters them."""
    patients = []
    for number in range(count):
        name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number // 11 % len(LAST_NAMES)]}"
        phone = fictional_phone(_PHONES_FROM + 2_000_000 + number)
        patient = Patient(name=name, phone=phone)
        patient.id = _id(2, number)  # type: ignore[assignment]  # Beanie's subclass of ObjectId
        patients.append(patient)
    for start in range(0, count, _BATCH):
        await _insert(Patient, [_raw(patient) for patient in patients[start : start + _BATCH]])
    return patients


def _user(kind: int, number: int, name: str, role: Role, **profile: Any) -> User:
    user = User(
        name=name,
        role=role,
        email=f"bulk-{role.value}{number}@demo.example.com",
        phone=fictional_phone(_PHONES_FROM + kind * 1_000_000 + number),
        **profile,
    )
    user.id = _id(kind, number)  # type: ignore[assignment]  # Beanie's subclass of ObjectId
    user.name_key = fold(name)
    user.search_words = words_of(user.name, user.email, user.phone)
    return user


def _raw(document: Slot | Appointment | User | Patient) -> Raw:
    return {"_id": document.id, **document.model_dump(exclude={"id"}, exclude_none=True)}


def _pairs(
    clinic: Clinic, doctors: list[User], patients: list[Patient], count: int, random: Random
) -> Iterator[tuple[Raw, Raw]]:
    """Slots and their appointments, backwards from yesterday, half an hour of all doctors at a time.

    In one half hour each doctor has another patient, so that no patient is in two places.
    """
    zone, number = ZoneInfo(clinic.time_zone), 0
    day = availability.local_day(utc_now(), zone)
    slot_like, appointment_like = _templates(clinic, doctors[0], patients[0])
    while True:
        day -= timedelta(days=1)
        for place in range(_SLOTS_A_DAY):
            start = availability.instant(day, _FIRST_MINUTE + place * _MINUTES, zone)
            span = availability.Span(start, start + timedelta(minutes=_MINUTES))
            shift = random.randrange(len(patients))
            for index, doctor in enumerate(doctors):
                patient = patients[(shift + index) % len(patients)]
                common = {
                    "doctor_id": doctor.id,
                    "doctor_name": doctor.name,
                    "start": span.start,
                    "end": span.end,
                    "ticks": availability.ticks(span),
                }
                status = random.choice(_STATUSES)
                slot = {**slot_like, **common, "_id": _id(3, number), "day": day.isoformat()}
                appointment = {
                    **appointment_like,
                    **common,
                    "_id": _id(4, number),
                    "seats": [{"slot": slot["_id"], "seat": 0, "reserved": 0}],
                    "patient_id": patient.id,
                    "patient_name": patient.name,
                    "clinic_day": day.isoformat(),
                    "status": status.value,
                    "reason": random.choice(REASONS),
                    "created_by": patient.id,
                    "history": _history(patient, span.start, status),
                }
                yield slot, appointment
                number += 1
                if number == count:
                    return


def _history(patient: Patient, start: datetime, status: Status) -> list[Raw]:
    step = {Status.COMPLETED: TransitionName.COMPLETE, Status.CANCELLED: TransitionName.CANCEL}.get(
        status, TransitionName.NO_SHOW
    )
    common = {"by": patient.id, "by_name": patient.name, "by_role": ActorRole.SYSTEM.value}
    return [
        {
            "transition": "book",
            "status": "scheduled",
            "at": start - timedelta(days=7),
            "start": start,
            **common,
        },
        {"transition": step.value, "status": status.value, "at": start, **common},
    ]


def _templates(clinic: Clinic, doctor: User, patient: Patient) -> tuple[Raw, Raw]:
    """One slot and one past appointment as the models make them, without what differs."""
    start = datetime.combine(utc_now().date(), time(9), tzinfo=utc_now().tzinfo)
    span = availability.Span(start, start + timedelta(minutes=_MINUTES))
    names = shown_names(doctor, clinic)
    slot = Slot(
        doctor_id=doctor.user_id,
        clinic_id=clinic.clinic_id,
        start=span.start,
        end=span.end,
        day=start.date().isoformat(),
        ticks=availability.ticks(span),
        state=SlotState.OPEN,
        **names,
    )
    appointment = Appointment(
        patient_id=patient.patient_id,
        patient_name=patient.name,
        doctor_id=doctor.user_id,
        doctor_name=doctor.name,
        specialty=names["specialty"],
        clinic_id=clinic.clinic_id,
        clinic_name=clinic.name,
        time_zone=clinic.time_zone,
        seats=[],
        start=span.start,
        end=span.end,
        clinic_day=start.date().isoformat(),
        ticks=availability.ticks(span),
        active=False,
        created_by=patient.patient_id,
        history=[
            HistoryEntry(
                transition=TransitionName.BOOK,
                status=Status.SCHEDULED,
                at=start,
                by_name="seed",
                by_role=ActorRole.SYSTEM,
            )
        ],
    )
    return (
        {key: value for key, value in _raw(slot).items() if key != "_id"},
        {key: value for key, value in _raw(appointment).items() if key != "_id"},
    )
