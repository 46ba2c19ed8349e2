"""A booking's document is built without the models: it is what they would have written, and so is the answer."""

from datetime import UTC, datetime
from typing import Any

import pytest
from beanie import PydanticObjectId
from beanie.odm.utils.dump import get_dict
from pymongo.database import Database

from backend.appointments.booking.document import new_appointment, place_fields
from backend.appointments.booking.seat_allocation import SeatNumbers
from backend.appointments.documents import (
    ActorRole,
    Appointment,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.permissions import Actor
from backend.appointments.schemas import AppointmentOut
from backend.scheduling.documents import Slot
from backend.scheduling.slots.capacity import BookableSlot
from backend.scheduling.slots.runs import Run
from tests.appointments.support import NOW, TEN, Book, booked, done, stored, try_booking
from tests.factories import Person

Db = Database[dict[str, Any]]

EARLIER = datetime(2037, 5, 30, 8, 7, 6, 5000, tzinfo=UTC)

GIVEN = [
    {"reason": None, "idempotency_key": None, "request_hash": None},
    {"reason": "Yearly check-up", "idempotency_key": "once", "request_hash": "1f"},
]


def bookable(slot: Slot) -> BookableSlot:
    """The slot as a booking reads it."""
    return BookableSlot.of(slot.model_dump(by_alias=True))


def as_the_model_has_it(
    slot: BookableSlot, seat: SeatNumbers, actor: Actor, patient: Person, given: dict[str, Any]
) -> Appointment:
    """The appointment of a booking, made by the models alone."""
    line = actor.history_entry(transition=TransitionName.BOOK, status=Status.SCHEDULED, at=EARLIER, start=slot.start)
    pending_messages = PendingMessage(
        kind=MessageKind.BOOKED, to=Recipient.PATIENT, occurrence=0, reschedule_count=0, pending_since=EARLIER
    )
    return Appointment(
        patient_id=patient.object_id,
        patient_name=patient.user.name,
        **place_fields(Run.of_slot(slot), seat, None),
        history=[line],
        pending_messages=[pending_messages],
        remind_at=EARLIER,
        reminded_until=EARLIER,
        created_by=actor.user_id,
        created_at=EARLIER,
        updated_at=EARLIER,
        **given,
    )


@pytest.mark.parametrize("seat", [SeatNumbers([0], None), SeatNumbers([1002], 0), SeatNumbers([3], 7)])
@pytest.mark.parametrize("given", GIVEN, ids=["little", "much"])
def test_a_booking_writes_what_the_model_would_write(
    book: Book, patient: Person, nurse: Person, seat: SeatNumbers, given: dict[str, Any]
) -> None:
    slot = bookable(book.slot())
    for person in (patient, nurse):
        actor = Actor.of(person.user)
        document = new_appointment(
            place_fields(Run.of_slot(slot), seat, None),
            patient_id=patient.object_id,
            patient_name=patient.user.name,
            actor=actor,
            now=EARLIER,
            **given,
        )
        model = as_the_model_has_it(slot, seat, actor, patient, given)
        written = get_dict(model, to_db=True, keep_nulls=Appointment.Settings.keep_nulls)
        assert document == written
        assert Appointment.model_validate(document) == model


def test_a_booking_stores_what_the_model_stores(book: Book, patient: Person, db: Db) -> None:
    """Nothing is lost or added on the way there and back."""
    found = stored(db, booked(patient, book.slot(), reason="Pain"))
    written = get_dict(Appointment.model_validate(found), to_db=True, keep_nulls=False)
    assert found == written
    assert found["created_at"] == NOW


def test_a_booking_returns_byte_for_byte_what_a_read_returns(book: Book, patient: Person, nurse: Person) -> None:
    first, second = book.slots(2)
    for person, slot, given in ((patient, first, {}), (nurse, second, {"patient_id": patient.id})):
        for reason in (None, "Kopfweh – “seit gestern”\n<&> \U0001f912"):
            answer = try_booking(person, slot, reason=reason, **given)
            read = person.client.get(f"/appointments/{done(answer, 201)['id']}")
            assert {**answer.json(), "allowed_actions": None} == {**read.json(), "allowed_actions": None}
            assert list(answer.json()) == list(read.json())
            assert answer.headers["content-type"] == read.headers["content-type"]
            done(person.client.post(f"/appointments/{answer.json()['id']}/cancel"))


@pytest.mark.parametrize("role", ActorRole)
def test_json_from_the_document_is_that_of_the_model(book: Book, patient: Person, role: ActorRole) -> None:
    """With every field that may be absent there, and with none."""
    document = {
        "_id": PydanticObjectId(),
        **new_appointment(
            place_fields(Run.of_slot(bookable(book.slot(TEN))), SeatNumbers([0], None), None),
            patient_id=patient.object_id,
            patient_name=patient.user.name,
            actor=Actor.of(patient.user),
            reason=None,
            idempotency_key=None,
            request_hash=None,
            now=EARLIER,
        ),
    }
    cancelled = {
        "notes": "Prefers mornings.",
        "reason": "Pain",
        "status": "cancelled",
        "cancelled_at": NOW,
        "cancelled_by": patient.object_id,
        "cancel_reason": "I am travelling",
        "history": [
            *document["history"],
            {**document["history"][0], "transition": "cancel", "reason": "Travelling"},
        ],
    }
    for each in (document, {**document, **cancelled}):
        model = AppointmentOut.for_role(role, Appointment.model_validate(each))
        assert AppointmentOut.json_for_role(role, each).decode() == model.model_dump_json()
