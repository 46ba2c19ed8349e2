"""Reminders: each owed once, at its time, while it is of use; and what makes them look at the timetable anew.

The visit is on Tuesday at 14:00 in New York, booked on Monday at noon.
"""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from backend.appointments.reminders.due_reminders import enqueue_due_reminders
from backend.core import clock
from backend.directory.documents import Policy
from tests import factories
from tests.appointments.support import done, visiting
from tests.factories import Person
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, TWO, Db, Office, make_office

LEADS = [1440, 180]
FIRST, LAST = TWO - DAY, TWO - 3 * HOUR


@pytest.fixture
def office(noon: datetime, network: Network, db: Db) -> Office:
    """A clinic that reminds a day and three hours before."""
    return make_office(network, db, policy=Policy(reminder_minutes=LEADS))


def reminders(office: Office, appointment: dict[str, Any]) -> list[tuple[int, bool]]:
    """What was owed: occurrence, and whether it asks. In the order in which it was owed."""
    pending_messages = [each for each in office.stored(appointment)["pending_messages"] if each["kind"] == "reminder"]
    return [(each["occurrence"], each["requests_confirmation"]) for each in pending_messages]


def test_each_reminder_is_owed_at_its_time_and_only_the_last_asks(office: Office) -> None:
    appointment = office.book(office.patient())
    for moment, so_far in (
        (FIRST - MINUTE, []),
        (FIRST, [(0, False)]),
        (LAST - MINUTE, [(0, False)]),
        (LAST, [(0, False), (1, True)]),
        (TWO - MINUTE, [(0, False), (1, True)]),
    ):
        office.owe(moment)
        office.owe(moment)
        assert reminders(office, appointment) == so_far
    assert "remind_at" not in office.stored(appointment)


@pytest.mark.long
def test_jobs_at_once_owe_each_reminder_once(office: Office) -> None:
    slot_id = office.slot_id(TWO, capacity=40)
    appointments = [office.book_seat(office.patient(), slot_id) for _ in range(40)]

    async def together() -> None:
        await asyncio.gather(*(enqueue_due_reminders() for _ in range(6)))

    for moment in (FIRST, LAST):
        with clock.stopped(moment):
            office.run(together())
    for each in appointments:
        assert reminders(office, each) == [(0, False), (1, True)]


def test_of_reminders_missed_together_the_last_is_owed(office: Office) -> None:
    appointment = office.book(office.patient())
    office.owe(LAST + HOUR)
    assert reminders(office, appointment) == [(0, True)]


def test_after_an_hour_down_what_was_missed_is_owed_once(office: Office) -> None:
    appointment = office.book(office.patient())
    office.owe(FIRST + HOUR)
    assert reminders(office, appointment) == [(0, False)]
    office.owe(LAST + HOUR)
    assert reminders(office, appointment) == [(0, False), (1, True)]


@pytest.mark.parametrize("late", [0 * MINUTE, MINUTE, DAY])
def test_none_is_owed_once_the_visit_has_begun(office: Office, late: Any) -> None:
    appointment = office.book(office.patient())
    office.owe(TWO + late)
    assert reminders(office, appointment) == []
    assert "remind_at" not in office.stored(appointment)


def test_a_booking_after_a_leads_moment_gets_no_reminder_for_it(office: Office) -> None:
    late = office.book(office.patient(), at=FIRST + MINUTE)
    latest = office.book(office.patient(), TWO + 30 * MINUTE, at=LAST + 31 * MINUTE)
    for moment in (FIRST + MINUTE, LAST - MINUTE, LAST + 32 * MINUTE, TWO - MINUTE):
        office.owe(moment)
    assert reminders(office, late) == [(0, True)]
    assert reminders(office, latest) == []


def test_a_move_begins_the_reminders_anew(office: Office) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    office.owe(FIRST)
    office.owe(LAST)
    to = office.slot_id(TWO + 3 * DAY)
    office.do(patient, appointment, "reschedule", LAST + HOUR, slot_id=to)
    assert {"confirmation_requested_at", "auto_cancel_at", "confirmation_undelivered"}.isdisjoint(
        office.stored(appointment)
    )
    office.owe(TWO - MINUTE)
    assert reminders(office, appointment) == [(0, False), (1, True)]
    office.owe(FIRST + 3 * DAY)
    office.owe(LAST + 3 * DAY)
    assert reminders(office, appointment) == [(0, False), (1, True), (2, False), (3, True)]
    assert [
        each["reschedule_count"]
        for each in office.stored(appointment)["pending_messages"]
        if each["kind"] == "reminder"
    ] == [*(0, 0, 1, 1)]


def test_a_move_to_a_time_whose_reminders_lie_behind_owes_none(office: Office) -> None:
    patient = office.patient()
    appointment = office.book(patient, TWO + 3 * DAY)
    office.do(patient, appointment, "reschedule", TWO - 2 * HOUR, slot_id=office.slot_id(TWO))
    for moment in (TWO - 2 * HOUR, TWO - MINUTE):
        office.owe(moment)
    assert reminders(office, appointment) == []


@pytest.mark.parametrize("step", ["confirm", "cancel", "check-in"])
def test_who_has_answered_or_come_is_not_reminded(office: Office, step: str) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    office.owe(LAST - MINUTE)
    who = office.doctor if step == "check-in" else patient
    office.do(who, appointment, step, TWO - 30 * MINUTE if step == "check-in" else TWO - 3 * HOUR)
    office.owe(TWO - MINUTE)
    assert reminders(office, appointment) == [(0, False)]


def test_who_confirms_at_that_moment_is_not_asked_or_was_before(office: Office) -> None:
    slot_id = office.slot_id(TWO, capacity=16)
    people = [office.patient() for _ in range(16)]
    appointments = [office.book_seat(each, slot_id) for each in people]
    office.owe(FIRST)
    with clock.stopped(LAST):
        clients = [factories.log_in(office.run, each.user).client for each in people]

        def confirm_all() -> list[int]:
            return [
                client.post(f"/appointments/{each['id']}/confirm", json={}).status_code
                for client, each in zip(clients, appointments, strict=True)
            ]

        async def race() -> list[int]:
            confirming = asyncio.create_task(asyncio.to_thread(confirm_all))
            while not confirming.done():
                await enqueue_due_reminders()
            return await confirming

        # The job changes no version: a confirmation is never refused for it.
        assert set(office.run(race())) == {200}
    for each in appointments:
        row = office.stored(each)
        assert row["status"] == "confirmed"
        assert reminders(office, each) in ([(0, False)], [(0, False), (1, True)])
        assert "remind_at" not in row


def test_a_clients_version_stays_good_while_reminders_are_owed_and_sent(office: Office) -> None:
    patient = office.patient()
    appointment = office.book(patient)
    for moment in (FIRST, LAST):
        office.owe(moment)
        assert office.send(moment) > 0
    stored = office.stored(appointment)
    assert stored["version"] == appointment["version"]
    assert stored["confirmation_requested_at"] == LAST
    office.do(patient, appointment, "confirm", LAST + MINUTE, version=appointment["version"])


def called_off(office: Office, admin: Person, path: str, method: str = "POST", at: datetime = NOON) -> Any:
    span = {"start": (TWO - HOUR).isoformat(), "end": (TWO + 20 * MINUTE).isoformat()}
    with visiting(office.run, admin, at) as client:
        answer = client.request(method, path, json=span if method == "POST" else None)
    assert answer.is_success, answer.text
    return answer.json()


@pytest.mark.parametrize("why", ["closure", "leave", "clinic gone", "doctor gone"])
def test_nobody_is_told_to_come_where_nobody_is(office: Office, admin: Person, why: str) -> None:
    off, on = office.book(office.patient()), office.book(office.patient(), TWO + 30 * MINUTE)
    clinic, doctor = f"/clinics/{office.clinic.id}", f"/doctors/{office.doctor.id}"
    match why:
        case "closure":
            called_off(office, admin, f"{clinic}/closures")
        case "leave":
            called_off(office, admin, f"{doctor}/leaves")
        case "clinic gone":
            called_off(office, admin, clinic, "DELETE")
        case "doctor gone":
            called_off(office, admin, doctor, "DELETE")
    for moment in (FIRST, LAST, LAST + 30 * MINUTE, TWO - MINUTE):
        office.owe(moment)
    assert reminders(office, off) == []
    assert office.stored(off)["status"] == "scheduled"
    # A visit outside that time is reminded of as always.
    assert reminders(office, on) == ([(0, False), (1, True)] if why in ("closure", "leave") else [])


def test_a_clinic_open_again_reminds_from_then_on(office: Office, admin: Person) -> None:
    appointment = office.book(office.patient())
    closure = called_off(office, admin, f"/clinics/{office.clinic.id}/closures")
    office.owe(FIRST)
    called_off(office, admin, f"/clinics/{office.clinic.id}/closures/{closure['id']}", "DELETE", FIRST + HOUR)
    office.owe(LAST)
    assert reminders(office, appointment) == [(0, True)]


def set_leads(office: Office, admin: Person, at: datetime, *leads: int) -> None:
    with visiting(office.run, admin, at) as client:
        done(client.patch(f"/clinics/{office.clinic.id}", json={"policy": {"reminder_minutes": list(leads)}}))


def test_changed_lead_times_hold_for_what_is_booked_already(office: Office, admin: Person) -> None:
    appointment = office.book(office.patient())
    set_leads(office, admin, NOON, 600, 120)  # 4:00 is quiet: on the evening before
    for moment, so_far in (
        (FIRST, []),
        (NOON + 8 * HOUR, [(0, False)]),
        (LAST, [(0, False)]),
        (TWO - 2 * HOUR, [(0, False), (1, True)]),
    ):
        office.owe(moment)
        assert reminders(office, appointment) == so_far


def test_lead_times_added_when_all_were_owed_are_looked_at(office: Office, admin: Person) -> None:
    appointment = office.book(office.patient())
    office.owe(FIRST)
    office.owe(LAST)
    set_leads(office, admin, LAST + MINUTE, 180, 60)
    office.owe(LAST + 2 * MINUTE)
    assert reminders(office, appointment) == [(0, False), (1, True)]
    office.owe(TWO - HOUR)
    assert reminders(office, appointment) == [(0, False), (1, True), (2, True)]


def test_more_than_a_batch_is_owed_in_one_run(office: Office) -> None:
    appointment = office.book(office.patient())
    model = office.stored(appointment)
    del model["_id"]
    (held,) = model["seats"]
    copies = [
        {**model, "ticks": [number], "seats": [{**held, "seat": number, "reserved": number}], "remind_at": FIRST}
        for number in range(1, 1101)
    ]
    office.db["appointments"].insert_many(copies)
    office.owe(FIRST)
    assert office.db["appointments"].count_documents({"reminders": 1}, hint="_id_") == 1101


def test_nobody_who_has_died_is_written_to_of_an_appointment_that_stays(office: Office) -> None:
    """Neither before it nor as somebody who didn't come. The mother, whose number it is, still is for herself."""
    mother = office.patient()
    nurse = factories.make_nurse(office.run, office.clinic)
    body = {"name": "Tom Garcia", "date_of_birth": "2020-01-01", "relation": "parent"}
    child = done(mother.client.post("/users/me/patients", json=body), 201)["id"]
    his, hers = office.book(mother, patient_id=child), office.book(mother, TWO + HOUR)
    office.send(NOON)
    with visiting(office.run, nurse, NOON + MINUTE) as client:
        report = done(client.delete(f"/patients/{child}", params={"reason": "deceased"}))
    assert [(row["id"], row["status"]) for row in report["appointments"]] == [(his["id"], "scheduled")]
    for moment in (FIRST, FIRST + HOUR, LAST, LAST + HOUR, TWO + HOUR):
        office.minute(moment)
    to_him = [log for log in office.logs(his) if log["kind"] != "booked" and log["recipient"] == "patient"]
    assert {(log["kind"], log["skip_reason"]) for log in to_him} == {
        ("reminder", "the patient has died"),
        ("no_show", "the patient has died"),
    }
    assert [log["status"] for log in office.logs(hers, "reminder")] == ["sent", "sent"]
    with visiting(office.run, nurse, TWO + HOUR) as client:
        assert his["id"] not in [row["appointment_id"] for row in done(client.get("/call-list"))["items"]]
