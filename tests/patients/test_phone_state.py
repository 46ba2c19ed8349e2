"""What is known of a patient's number: staff see since when it gets no messages, and why."""

from datetime import UTC, datetime, timedelta
from typing import Any

from backend.accounts import number_repository as numbers
from tests.directory.support import changed, read
from tests.factories import Person, Run

THEN = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
DAY = timedelta(days=1)
NEW = "+12125550177"


def shown(person: Person, path: str) -> tuple[Any, ...]:
    """What a record says of its phone."""
    record = read(person.client, path)
    names = ("sms_opted_out", "sms_opted_out_at", "phone_undeliverable_since")
    return tuple(record.get(name, "not shown") for name in names)


def test_staff_see_that_a_number_is_undeliverable(run: Run[Any], patient: Person, nurse: Person) -> None:
    path, phone = f"/patients/{patient.id}", patient.user.phone or ""
    assert shown(nurse, path) == (False, None, None)

    for moment in (THEN, THEN + DAY):
        run(numbers.mark_undeliverable(phone, at=moment))

    assert shown(nurse, path) == (False, None, "2026-11-20T08:15:00Z")
    assert shown(patient, path) == (False, "not shown", "not shown")
    assert changed(nurse.client, path, address="12 Elm Street")["phone_undeliverable_since"] == "2026-11-20T08:15:00Z"
    run(numbers.mark_reachable(phone))
    assert shown(nurse, path) == (False, None, None)


def test_staff_see_when_a_number_opted_out(run: Run[Any], patient: Person, nurse: Person) -> None:
    path, phone = f"/patients/{patient.id}", patient.user.phone or ""
    run(numbers.opt_out(phone, word="STOP", at=THEN))
    assert shown(nurse, path) == (True, "2026-11-20T08:15:00Z", None)
    assert shown(patient, path) == (True, "not shown", "not shown")
    run(numbers.opt_in(phone))
    assert shown(nurse, path) == (False, None, None)


def test_it_belongs_to_the_number_and_not_to_the_patient(run: Run[Any], patient: Person, nurse: Person) -> None:
    path, phone = f"/patients/{patient.id}", patient.user.phone or ""
    run(numbers.mark_undeliverable(phone, at=THEN))
    run(numbers.opt_out(phone, word="STOP", at=THEN))
    changed(nurse.client, path, phone=NEW)
    assert shown(nurse, path) == (False, None, None)
    changed(nurse.client, path, phone=None)
    assert shown(nurse, path) == (False, None, None)
    changed(nurse.client, path, phone=phone)
    assert shown(nurse, path) == (True, "2026-11-20T08:15:00Z", "2026-11-20T08:15:00Z")
