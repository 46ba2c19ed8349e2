"""Fills the book by the hundred thousand: copies of documents that the application has made, inserted in bulk."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pymongo
from bson import ObjectId, encode
from bson.raw_bson import RawBSONDocument

from benchmarks import book
from benchmarks.book import Size, Time
from benchmarks.models import TIME_ZONE, Models, Raw

_BATCH = 4000
_WRITERS = 2
_ZONE = ZoneInfo(TIME_ZONE)


@dataclass(frozen=True)
class Target:
    """Where to write."""

    url: str
    database: str
    models: Models


def times_ahead(models: Models) -> list[Time]:
    """The half-hours that the application has made slots of."""
    first = models.slots[0]["start"].astimezone(_ZONE).date()
    found = []
    for slot in models.slots:
        local = slot["start"].astimezone(_ZONE)
        minute = local.hour * 60 + local.minute
        place = (minute - book.FIRST_MINUTE) // book.SLOT_MINUTES
        day = (local.date() - first).days
        found.append(Time(day, place, slot["start"], slot["end"], local.date()))
    return found


def times_past(models: Models, days: range) -> list[Time]:
    """The same half-hours on days before the first one."""
    from backend.scheduling.availability import instant

    first: date = models.slots[0]["start"].astimezone(_ZONE).date()
    found = []
    for day in days:
        local_day = first - timedelta(days=day)
        for place in range(book.SLOTS_A_DAY):
            start = instant(local_day, book.FIRST_MINUTE + place * book.SLOT_MINUTES, _ZONE)
            end = start + timedelta(minutes=book.SLOT_MINUTES)
            found.append(Time(-day, place, start, end, local_day))
    return found


def fill(target: Target, size: Size) -> int:
    """Fills an empty database. Returns how many appointments it holds then.

    One process for each collection: two in the same one get into each other's way at its unique indexes.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_WRITERS, spawn, initializer=_open, initargs=(target,)) as writers:
        tasks = [writers.submit(write, size) for write in (_write_people, _write_slots, _write_appointments)]
        for task in tasks:
            task.result()
    with pymongo.MongoClient[Raw](target.url) as client:
        return client[target.database].appointments.estimated_document_count()


_target: Target
_database: Any


def _open(target: Target) -> None:
    global _target, _database  # noqa: PLW0603 - one for each process
    _target = target
    _database = pymongo.MongoClient[Any](target.url, w=1, journal=False)[target.database]


def _times(size: Size) -> list[tuple[Time, Raw]]:
    """The half-hours of a book's slots, each with what the slots in it have in common."""
    days = range(1, size.past_days + 1)
    return _slots_like(times_past(_target.models, days) + times_ahead(_target.models))


def _write_people(size: Size) -> None:
    for block in range(size.blocks):
        _insert("clinics", [_clinic(block)])
        _insert("users", _people(block))
        _insert("patients", _patients(block))
        _insert("patient_links", _links(block))
        _insert("visit_types", [_visit_type(block)])


def _write_slots(size: Size) -> None:
    times = _times(size)
    for doctor in range(size.doctors):
        shown = _shown(doctor)
        _insert("slots", ({**like, **shown, "_id": book.slot_id(doctor, time)} for time, like in times))


def _write_appointments(size: Size) -> None:
    times = _times(size)
    for doctor in range(size.doctors):
        names = {number: name_of(number) for number in _patients_of(doctor // book.DOCTORS_A_BLOCK)}
        _insert("appointments", _appointments(doctor, times, names))


def _insert(collection: str, rows: Any) -> None:
    batch: list[RawBSONDocument] = []
    for row in rows:
        batch.append(RawBSONDocument(encode(row)))
        if len(batch) == _BATCH:
            _database[collection].insert_many(batch, ordered=False)
            batch = []
    if batch:
        _database[collection].insert_many(batch, ordered=False)


def _patients_of(block: int) -> range:
    return range(block * book.PATIENTS_A_BLOCK, (block + 1) * book.PATIENTS_A_BLOCK)


def name_of(number: int) -> str:
    """The n-th patient's name."""
    from seed.people import FIRST_NAMES, LAST_NAMES

    return f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number // 7 % len(LAST_NAMES)]}"


def _shown(doctor: int) -> Raw:
    """What slots and appointments show of a doctor and the clinic."""
    from backend.core.mongo.text_search import fold

    block, specialty = doctor // book.DOCTORS_A_BLOCK, book.specialty_of(doctor)
    city = book.city_of(block)
    return {
        "doctor_id": book.doctor_id(doctor),
        "doctor_name": f"Dr. {name_of(doctor)}",
        "specialty": specialty,
        "specialty_key": fold(specialty),
        "clinic_id": book.clinic_id(block),
        "clinic_name": f"Clinic {block:03}",
        "city": city,
        "city_key": fold(city),
    }


def _clinic(block: int) -> Raw:
    from backend.core.mongo.text_search import fold, words_of

    like, name, city = _target.models.clinic, f"Clinic {block:03}", book.city_of(block)
    return {
        **like,
        "_id": book.clinic_id(block),
        "name": name,
        "name_key": fold(name),
        "city": city,
        "city_key": fold(city),
        "search_words": words_of(name, like["address"], city),
    }


def _visit_type(block: int) -> Raw:
    return {
        **_target.models.visit_type,
        "_id": book.visit_type_id(block),
        "clinic_id": book.clinic_id(block),
    }


def _user(like: Raw, user_id: ObjectId, name: str, *, kind: str, number: int) -> Raw:
    from backend.core.mongo.text_search import fold, words_of

    # Not of the fictional numbers: messages to those never reach the carrier.
    email, phone = f"{kind}{number}@example.com", f"+1212{2 if kind == 'doctor' else 3}{number:06}"
    return {
        **like,
        "_id": user_id,
        "name": name,
        "name_key": fold(name),
        "email": email,
        "phone": phone,
        "search_words": words_of(name, email, phone),
        "sessions": [book.session_of(user_id)],
    }


def _people(block: int) -> Iterator[Raw]:
    models = _target.models
    for doctor in range(block * book.DOCTORS_A_BLOCK, (block + 1) * book.DOCTORS_A_BLOCK):
        user = _user(models.doctor, book.doctor_id(doctor), f"Dr. {name_of(doctor)}", kind="doctor", number=doctor)
        shown = _shown(doctor)
        mine = {name: shown[name] for name in ("specialty", "specialty_key")}
        profile = {**user["doctor"], **mine, "clinic_ids": [book.clinic_id(block)]}
        yield {**user, "doctor": {**profile, "license_number": f"BENCH-{doctor:06}"}}
    for number in _patients_of(block):
        yield _user(models.account, book.account_id(number), name_of(number), kind="patient", number=number)


def _patients(block: int) -> Iterator[Raw]:
    from backend.patients.search import KEY_FIELDS, patient_keys

    for number in _patients_of(block):
        same = _user(_target.models.patient, book.patient_id(number), name_of(number), kind="patient", number=number)
        del same["sessions"]
        yield {**same, **patient_keys(**{field: same[field] for field in KEY_FIELDS})}


def _links(block: int) -> Iterator[Raw]:
    for number in _patients_of(block):
        ids = {"_id": book.link_id(number), "user_id": book.account_id(number), "patient_id": book.patient_id(number)}
        yield {**_target.models.link, **ids}


def _slots_like(times: list[Time]) -> list[tuple[Time, Raw]]:
    from backend.scheduling.availability import Span, ticks

    like = _target.models.slots[0]
    return [
        (
            time,
            {
                **like,
                "start": time.start,
                "end": time.end,
                "day": time.local_day.isoformat(),
                "ticks": ticks(Span(time.start, time.end)),
            },
        )
        for time in times
    ]


def _appointments(doctor: int, slots: list[tuple[Time, Raw]], names: dict[int, str]) -> Iterator[Raw]:
    models, shown = _target.models, _shown(doctor)
    common = {name: value for name, value in shown.items() if name in models.booked}
    by_doctor = {"by": shown["doctor_id"], "by_name": shown["doctor_name"]}
    for time, slot in slots:
        if not book.is_booked(doctor, time):
            continue
        patient = book.patient_of(doctor, time)
        who, account, name = book.patient_id(patient), book.account_id(patient), names[patient]
        like = models.completed if time.day < 0 else models.booked
        yield {
            **_as_of(like, time, like["start"]),
            **common,
            "_id": book.appointment_id(doctor, time),
            "seats": [{**like["seats"][0], "slot": book.slot_id(doctor, time)}],
            "patient_id": who,
            "patient_name": name,
            "created_by": account,
            "start": time.start,
            "end": time.end,
            "clinic_day": slot["day"],
            "ticks": slot["ticks"],
            "history": [
                {
                    **_as_of(step, time, like["start"]),
                    **({"by": account, "by_name": name} if step["transition"] == "book" else by_doctor),
                }
                for step in like["history"]
            ],
        }


def _as_of(like: Raw, time: Time, start: datetime) -> Raw:
    """The same at another time: what is over was so then; what lies ahead was booked now, and is due then."""
    dates = {name: value for name, value in like.items() if isinstance(value, datetime)}
    if time.day >= 0:
        dates = {name: value for name, value in dates.items() if name in ("start", "remind_at")}
    return {**like, **{name: value + (time.start - start) for name, value in dates.items()}}
