"""A process dies between any two writes of a batch: a job books all of it, or gives all back."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from beanie import PydanticObjectId

from backend.appointments.batches import repository
from backend.appointments.batches.book_batch import (
    ABANDONED,
    BatchRequest,
    finish,
    finish_batches,
    give_back,
    new_batch,
    prepare_visits,
    take_visits,
)
from backend.appointments.batches.documents import Batch
from backend.appointments.batches.errors import BatchGivenBack
from backend.appointments.booking.book import BookingRequest, find_patient
from backend.appointments.documents import MessageKind, PendingMessage, Recipient
from backend.appointments.no_shows import mark_no_shows
from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.core.clock import utc_now
from backend.directory.documents import Clinic
from backend.scheduling.directory_changes import clinic_changed
from backend.scheduling.documents import Slot
from tests import factories
from tests.appointments.batches.support import NOTHING, Db, traces, try_batch, visits_in
from tests.appointments.support import (
    DAY,
    HOUR,
    NOW,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    pending_messages,
    refused,
    try_booking,
)
from tests.factories import Person, Run
from tests.support.book import check_book

KEY = "lab-then-doctor"
LATER = NOW + ABANDONED + timedelta(seconds=1)

WRITES = ("batch", "first visit", "second visit", "commit", "messages", "all")
"""The writes of a batch of two, in their order."""


def wanted_by(slots: list[Slot]) -> BatchRequest:
    """A request for a visit in each slot."""
    ids = [slot.id for slot in slots]
    return BatchRequest(visits=[BookingRequest(slot_id=each) for each in ids], idempotency_key=KEY)


async def write_until(last: str, person: Person, slots: list[Slot]) -> Batch:
    """Books a batch as a request does, and dies after one of its writes."""
    request, written = wanted_by(slots), WRITES.index(last)
    own, patient_id = await find_patient(person.user, None)
    prepared = await prepare_visits(person.user, request, patient_id, own)
    batch = new_batch(person.user, request, patient_id)
    await repository.insert(batch)
    first = sorted(request.visits, key=lambda visit: visit.slot_id)[: min(written, 2)]
    if first:
        at = [request.visits.index(visit) for visit in first]
        part = BatchRequest(visits=first)
        ids = batch.model_copy(update={"appointment_ids": [batch.appointment_ids[each] for each in at]})
        await take_visits(person.user, ids, part, [prepared[each] for each in at])
    if written >= WRITES.index("commit"):
        assert await repository.commit(batch.id)
    if written >= WRITES.index("messages"):
        message = PendingMessage.about_time(0, kind=MessageKind.BOOKED, to=Recipient.PATIENT, now=utc_now())
        await repository.book_all(batch, message, now=utc_now())
    if written >= WRITES.index("all"):
        await finish(batch)
    return batch


@pytest.mark.parametrize("last", WRITES[:3])
def test_what_was_not_committed_is_given_back(book: Book, patient: Person, run: Run[Any], db: Db, last: str) -> None:
    slots = book.slots(2)
    run(write_until(last, patient, slots))
    assert run(finish_batches()) == 0, "it may be under way"
    with clock.stopped(LATER):
        assert [run(finish_batches()) for _ in range(2)] == [1, 0]
    assert traces(db) == NOTHING
    for other, slot in zip(make_patients(run, 2), slots, strict=True):
        booked(other, slot)
    check_book(db)


@pytest.mark.parametrize("last", WRITES[3:])
def test_what_was_committed_is_booked(book: Book, patient: Person, run: Run[Any], db: Db, last: str) -> None:
    slots = book.slots(2)
    batch = run(write_until(last, patient, slots))
    with clock.stopped(LATER):
        assert [run(finish_batches()) for _ in range(2)] == ([0, 0] if last == "all" else [1, 0])
    rows = done(patient.client.get("/appointments"))["items"]
    assert [row["id"] for row in rows] == [str(each) for each in batch.appointment_ids]
    assert [pending_messages(db, row) for row in rows] == [[("booked", "patient", 0)]] * 2
    assert traces(db) == (2, 2, 1)
    check_book(db)


@pytest.mark.parametrize("erased", [0, 1, 2])
def test_giving_back_may_die_too(book: Book, patient: Person, run: Run[Any], db: Db, erased: int) -> None:
    batch = run(write_until("second visit", patient, book.slots(2)))
    assert run(repository.begin_giving_back(batch.id))
    for each in batch.appointment_ids[:erased]:
        run(repository.erase(each, expires_at=NOW + DAY))
    with clock.stopped(LATER):
        assert [run(finish_batches()) for _ in range(2)] == [1, 0]
    assert traces(db) == NOTHING


def test_an_open_batch_holds_its_time_and_is_nobodys_yet(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    slots = book.slots(2)
    batch = run(write_until("second visit", patient, slots))
    (other,) = make_patients(run, 1)
    for slot in slots:
        refused(try_booking(other, slot), 409, "SLOT_TAKEN")
    for person in (patient, nurse, book.doctor, factories.make_user(run, "admin")):
        assert done(person.client.get("/appointments"))["items"] == []
        path = f"/appointments/{batch.appointment_ids[0]}"
        refused(person.client.get(path), 404, "APPOINTMENT_NOT_FOUND")
        refused(person.client.post(f"{path}/cancel"), 404, "APPOINTMENT_NOT_FOUND")
    assert done(nurse.client.get(f"/patients/{patient.id}/appointments"))["items"] == []


def test_no_job_touches_an_open_batch(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    run(write_until("second visit", patient, book.slots(2)))
    before = list(db["appointments"].find({}, hint="_id_"))
    clinic = run(Clinic.get(book.clinic.clinic_id))
    run(clinic_changed.send(clinic))
    for moment in (TEN - HOUR, TEN + 4 * HOUR):
        with clock.stopped(moment):
            assert (run(enqueue_due_reminders()), run(mark_no_shows())) == (0, 0)
    assert list(db["appointments"].find({}, hint="_id_")) == before


def test_a_withdrawal_reports_the_visits_of_an_open_batch(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    """They are booked the next moment: then they need a decision like any other."""
    first, second = book.slots(2)
    batch = run(write_until("second visit", patient, [first, second]))
    leave = {"start": first.start.isoformat(), "end": first.end.isoformat()}
    report = done(nurse.client.post(f"/doctors/{book.doctor.id}/leaves", json=leave), 201)["report"]
    assert [row["appointment_id"] for row in report["appointments"]] == [str(batch.appointment_ids[0])]
    assert run(repository.commit(batch.id))
    run(finish(batch))
    undecided = done(nurse.client.get("/appointments", params={"needs_decision": True}))["items"]
    assert [row["id"] for row in undecided] == [str(batch.appointment_ids[0])]


def test_a_withdrawn_visit_is_given_back_too(
    book: Book, patient: Person, nurse: Person, run: Run[Any], db: Db
) -> None:
    slots = book.slots(2)
    batch = run(write_until("second visit", patient, slots))
    done(nurse.client.delete(f"/slots/{slots[0].id}"))
    assert run(give_back(batch))
    assert traces(db)[0] == 0
    refused(try_booking(patient, slots[0]), 409, "SLOT_NOT_OPEN")
    booked(patient, slots[1])


@pytest.mark.parametrize("last", WRITES[:3])
def test_a_request_slower_than_the_job_loses(book: Book, patient: Person, run: Run[Any], db: Db, last: str) -> None:
    """It can't insert what is left, and can't commit what it had."""
    slots = book.slots(2)
    batch = run(write_until(last, patient, slots))
    own, patient_id = run(find_patient(patient.user, None))
    prepared = run(prepare_visits(patient.user, wanted_by(slots), patient_id, own))
    with clock.stopped(LATER):
        assert run(finish_batches()) == 1
    with pytest.raises(BatchGivenBack):
        run(take_visits(patient.user, batch, wanted_by(slots), prepared))
    assert not run(repository.commit(batch.id))
    assert traces(db) == NOTHING
    done(try_batch(patient, visits_in(*slots), key=KEY), 201)


def test_the_key_of_an_open_batch_is_taken(book: Book, patient: Person, run: Run[Any], db: Db) -> None:
    slots = book.slots(2)
    run(write_until("first visit", patient, slots))
    refused(try_batch(patient, visits_in(*slots), key=KEY), 409, "BATCH_UNDER_WAY")
    with clock.stopped(LATER):
        run(finish_batches())
    done(try_batch(patient, visits_in(*slots), key=KEY), 201)


@pytest.mark.parametrize("last", ["commit", "messages"])
def test_a_repeated_request_finishes_what_was_committed(
    book: Book, patient: Person, run: Run[Any], db: Db, last: str
) -> None:
    slots = book.slots(2)
    run(write_until(last, patient, slots))
    answer = try_batch(patient, visits_in(*slots), key=KEY)
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert [pending_messages(db, row) for row in done(answer, 201)["items"]] == [[("booked", "patient", 0)]] * 2


def test_jobs_and_the_request_at_once_agree(book: Book, run: Run[Any], db: Db) -> None:
    """Several processes give back what a request is about to commit: it has all, or nothing."""
    for number in range(5):
        (person,) = make_patients(run, 1)
        slots = book.slots(2, TEN + number * HOUR)
        batch = run(write_until("second visit", person, slots))

        async def at_once(batch: Batch = batch) -> bool:
            with clock.stopped(LATER):
                committed, *_ = await asyncio.gather(
                    repository.commit(batch.id), *(finish_batches() for _ in range(3))
                )
            return bool(committed)

        committed = run(at_once())
        held = db["appointments"].count_documents({"patient_id": person.object_id})
        assert held == (2 if committed else 0)
    check_book(db)


def test_what_was_decided_stays_decided(book: Book, run: Run[Any], db: Db) -> None:
    decisions = (repository.commit, repository.begin_giving_back)
    for number, (first, second) in enumerate((decisions, decisions[::-1])):
        (person,) = make_patients(run, 1)
        batch = run(write_until("second visit", person, book.slots(2, TEN + number * HOUR)))
        assert run(first(batch.id))
        assert not run(second(batch.id))


def test_an_erased_id_stays_taken(book: Book, run: Run[Any], db: Db) -> None:
    """Also where nothing was inserted yet; it is kept as long as a block of a withdrawal."""
    nobodys = PydanticObjectId()
    assert run(repository.erase(nobodys, expires_at=NOW + DAY)) is None
    assert db["appointments"].find_one({"_id": nobodys}) == {
        "_id": nobodys,
        "active": False,
        "expires_at": NOW + DAY,
    }
