"""A limit of patients a day that changes while patients are booked, and no-shows who came after all."""

from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.core import clock
from backend.scheduling.documents import Slot
from tests import factories
from tests.appointments.support import (
    HOUR,
    NOW,
    TEN,
    Book,
    booked,
    done,
    make_patients,
    make_transition,
    refused,
    try_booking,
)
from tests.factories import Person, Run


def set_limit(admin: Person, book: Book, patients: int | None) -> None:
    done(admin.client.patch(f"/doctors/{book.doctor.id}", json={"max_patients_per_day": patients}))


def is_offered(api: httpx.Client, slot: Slot) -> bool:
    found = done(api.get("/slots", params={"doctor_id": str(slot.doctor_id), "limit": 100}))["items"]
    return str(slot.id) in {row["id"] for row in found}


@pytest.mark.parametrize("leaving", range(4))
@pytest.mark.parametrize("before", [None, 5])
def test_a_day_over_a_lowered_limit_takes_nobody(
    book: Book, run: Run[Any], api: httpx.Client, admin: Person, leaving: int, before: int | None
) -> None:
    slots, people = book.slots(6), make_patients(run, 6)
    set_limit(admin, book, before)
    appointments = [booked(person, slot) for person, slot in zip(people[:4], slots, strict=False)]
    set_limit(admin, book, 2)
    others = [(p, a) for n, (p, a) in enumerate(zip(people, appointments, strict=False)) if n != leaving]
    for person, appointment in ((people[leaving], appointments[leaving]), others[0]):
        refused(try_booking(people[4], slots[4]), 409, "DAY_FULL")
        assert not is_offered(api, slots[4])
        done(make_transition(run, person, appointment, "cancel"))
    refused(try_booking(people[4], slots[4]), 409, "DAY_FULL")
    assert not is_offered(api, slots[4])
    done(make_transition(run, *others[1], "cancel"))
    assert is_offered(api, slots[4])
    booked(people[4], slots[4])
    refused(try_booking(people[5], slots[5]), 409, "DAY_FULL")


def test_on_a_day_over_its_limit_patients_may_still_reschedule(book: Book, run: Run[Any], admin: Person) -> None:
    slots, people = book.slots(6), make_patients(run, 3)
    tomorrow = book.slot(TEN + 24 * HOUR)
    here = [booked(person, slot) for person, slot in zip(people[:2], slots, strict=False)]
    there = booked(people[2], tomorrow)
    set_limit(admin, book, 1)
    for number, (person, appointment) in enumerate(zip(people, here, strict=False)):
        done(
            person.client.post(
                f"/appointments/{appointment['id']}/reschedule", json={"slot_id": str(slots[4 + number].id)}
            )
        )
    refused(
        people[2].client.post(f"/appointments/{there['id']}/reschedule", json={"slot_id": str(slots[0].id)}),
        409,
        "DAY_FULL",
    )


def test_a_limit_set_again_counts_those_booked_without_it(book: Book, run: Run[Any], admin: Person) -> None:
    slots, people = book.slots(6), make_patients(run, 6)
    set_limit(admin, book, 2)
    first = booked(people[0], slots[0])
    set_limit(admin, book, None)
    for person, slot in zip(people[1:3], slots[1:], strict=False):
        booked(person, slot)
    set_limit(admin, book, 3)
    refused(try_booking(people[3], slots[3]), 409, "DAY_FULL")
    done(make_transition(run, people[0], first, "cancel"))
    booked(people[3], slots[3])
    refused(try_booking(people[4], slots[4]), 409, "DAY_FULL")


def test_a_no_show_who_came_after_all_counts_again(
    book: Book, run: Run[Any], api: httpx.Client, admin: Person, nurse: Person
) -> None:
    slots, people = book.slots(4), make_patients(run, 4)
    set_limit(admin, book, 2)
    first = booked(people[0], slots[0])
    second = booked(people[1], slots[3])
    done(make_transition(run, nurse, first, "no-show", at=TEN))
    done(make_transition(run, nurse, first, "correct-no-show", at=TEN, status="checked_in"))
    with clock.stopped(TEN):
        assert not is_offered(api, slots[2])
        late = factories.log_in(run, people[2].user)
        refused(try_booking(late, slots[2]), 409, "DAY_FULL")
    done(make_transition(run, people[1], second, "cancel", at=TEN))
    with clock.stopped(TEN):
        booked(late, slots[2])
        refused(try_booking(factories.make_user(run, Role.PATIENT), slots[1]), 409, "DAY_FULL")
    assert NOW < TEN
