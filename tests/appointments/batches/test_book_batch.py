"""Several visits of one patient, booked together: the lab, then the doctor."""

from typing import Any

from backend.accounts.documents import Role
from backend.appointments.batches.book_batch import finish_batches
from backend.core import clock
from tests import factories
from tests.appointments.batches.support import Db, traces, try_batch, visits_in
from tests.appointments.support import (
    DAY,
    HOUR,
    NOW,
    TEN,
    Book,
    at_once,
    booked,
    done,
    history_of,
    pending_messages,
    refused,
    stored,
)
from tests.appointments.visits import visit_type
from tests.factories import Person, Run
from tests.support.book import check_book

KEY = "lab-then-doctor"


def test_visits_are_booked_together(book: Book, patient: Person, db: Db) -> None:
    lab = Book(book.run, book.clinic, factories.make_doctor(book.run, book.clinic, weekly_hours=[]))
    first, second = lab.slot(), book.slot(TEN + HOUR)
    wanted = [*visits_in(first, reason="Blood count"), *visits_in(second, reason="Yearly check-up")]

    answer = try_batch(patient, wanted)

    made = done(answer, 201)
    assert [(row["slot_id"], row["reason"], row["status"]) for row in made["items"]] == [
        (str(first.id), "Blood count", "scheduled"),
        (str(second.id), "Yearly check-up", "scheduled"),
    ]
    assert answer.headers["Location"] == f"/api/v1/appointments/{made['items'][0]['id']}"
    assert all(pending_messages(db, row) == [("booked", "patient", 0)] for row in made["items"])
    assert [row["id"] for row in done(patient.client.get("/appointments"))["items"]] == [
        row["id"] for row in made["items"]
    ]
    check_book(db)


def test_they_are_stored_like_any_booking(book: Book, patient: Person, db: Db) -> None:
    first, second = book.slots(2)
    alone = stored(db, booked(patient, first))
    together = stored(db, done(try_batch(patient, visits_in(second)), 201)["items"][0])
    assert set(together) == set(alone)
    of_this_time = {"_id", "seats", "start", "end", "ticks", "history"}
    assert [name for name in alone if alone[name] != together[name] and name not in of_this_time] == []


def test_the_order_of_the_response_is_that_of_the_request(book: Book, patient: Person) -> None:
    early, late = book.slots(2)
    made = done(try_batch(patient, visits_in(late, early)), 201)
    assert [row["slot_id"] for row in made["items"]] == [str(late.id), str(early.id)]


def test_staff_book_for_a_patient(book: Book, patient: Person, nurse: Person) -> None:
    slots = book.slots(5)
    refused(try_batch(nurse, visits_in(*slots)), 422, "PATIENT_REQUIRED")
    made = done(try_batch(nurse, visits_in(*slots), patient_id=patient.id), 201)
    assert [history_of(row) for row in made["items"]] == [[("book", "scheduled", "nurse")]] * 5
    assert {row["patient_id"] for row in made["items"]} == {patient.id}


def test_visits_of_types_take_their_slots(book: Book, patient: Person) -> None:
    slots = book.slots(5)
    long_type, short_type = visit_type(book, 60), visit_type(book, 30)
    wanted = [
        *visits_in(slots[0], visit_type_id=long_type),
        *visits_in(slots[2], visit_type_id=short_type),
        *visits_in(slots[4]),
    ]
    made = done(try_batch(patient, wanted), 201)
    taken = [slots[:2], slots[2:3], slots[4:]]
    assert [row["slot_ids"] for row in made["items"]] == [[str(slot.id) for slot in each] for each in taken]


def test_a_batch_leaves_nothing_to_do(book: Book, patient: Person, run: Run[Any]) -> None:
    made = done(try_batch(patient, visits_in(*book.slots(2))), 201)
    with clock.stopped(NOW + DAY):
        assert run(finish_batches()) == 0
    assert len(made["items"]) == 2


def test_a_repeated_request_gets_the_same_appointments(book: Book, patient: Person, db: Db) -> None:
    first, second = book.slots(2)
    answer = try_batch(patient, visits_in(first, second), key=KEY)
    assert "Idempotent-Replayed" not in answer.headers
    made = done(answer, 201)
    again = try_batch(patient, visits_in(first, second), key=KEY, patient_id=patient.id)
    assert (again.headers["Idempotent-Replayed"], done(again, 201)) == ("true", made)
    done(patient.client.post(f"/appointments/{made['items'][1]['id']}/cancel"))
    now = done(try_batch(patient, visits_in(first, second), key=KEY), 201)
    assert [row["status"] for row in now["items"]] == ["scheduled", "cancelled"]
    assert traces(db)[0] == 2


def test_a_key_is_for_one_request(book: Book, patient: Person, db: Db) -> None:
    first, second, third = book.slots(3)
    done(try_batch(patient, visits_in(first, second), key=KEY), 201)
    for other in (visits_in(second, first), visits_in(first), visits_in(first, second, reason="Pain")):
        refused(try_batch(patient, other, key=KEY), 422, "IDEMPOTENCY_KEY_REUSED")
    (stranger,) = (factories.make_user(book.run, Role.PATIENT),)
    done(try_batch(stranger, visits_in(third), key=KEY), 201)


def test_a_refused_request_may_be_sent_again_with_its_key(book: Book, patient: Person, db: Db) -> None:
    first, second = book.slots(2)
    (other,) = (factories.make_user(book.run, Role.PATIENT),)
    in_the_way = booked(other, second)
    refused(try_batch(patient, visits_in(first, second), key=KEY), 409, "SLOT_TAKEN")
    done(other.client.post(f"/appointments/{in_the_way['id']}/cancel"))
    done(try_batch(patient, visits_in(first, second), key=KEY), 201)


def test_repeats_at_once_book_once(book: Book, patient: Person, db: Db) -> None:
    wanted = visits_in(*book.slots(3))
    answers = at_once(*[lambda: try_batch(patient, wanted, key=KEY)] * 6)
    made = [answer for answer in answers if answer.status_code == 201]
    others = {answer.json()["error_code"] for answer in answers if answer.status_code != 201}
    assert made
    assert others <= {"BATCH_UNDER_WAY"}
    assert len({answer.json()["batch_id"] for answer in made}) == 1
    assert traces(db) == (3, 3, 1)
    done(try_batch(patient, wanted, key=KEY), 201)
