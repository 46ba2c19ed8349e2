"""The staff's list of whom to call, the log, and an appointment's messages: who sees what, by pages."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import NurseProfile
from backend.core import clock
from tests import factories
from tests.appointments.support import NOBODY, done, refused
from tests.factories import Person
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import HOUR, MINUTE, TWO, Db, Office, Row, make_office

ASKED = TWO - 3 * HOUR
LIST = "/call-list"


@pytest.fixture
def elsewhere(noon: datetime, network: Network, db: Db) -> Office:
    """Another clinic with a doctor of its own."""
    return make_office(network, db)


@pytest.fixture
def staff(office: Office, admin: Person) -> dict[str, Person]:
    """Those of the first clinic, and an administrator."""
    nurse = factories.make_nurse(office.run, office.clinic)
    return {"admin": admin, "nurse": nurse, "doctor": office.doctor}


def unreached(office: Office, *, number: int = 0, **patient: Any) -> Row:
    """An appointment whose reminder could not be sent: the patient has no phone."""
    person = office.patient(**{"phone": None, **patient})
    appointment = office.book(person, TWO + number * 30 * MINUTE)
    office.minute(ASKED + number * 30 * MINUTE)
    return appointment


def get(person: Person, path: str, **params: Any) -> Row:
    """An answer at the moment of NOON, for which the tokens are."""
    with clock.stopped(NOON):
        return done(person.client.get(path, params=params))


def on_list(person: Person, **params: Any) -> list[str]:
    """The appointments of the entries that a person sees, in their order."""
    return [entry["appointment_id"] for entry in get(person, LIST, **params)["items"]]


def all_pages(person: Person, path: str, *, limit: int, **params: Any) -> list[Row]:
    """Every row, a page at a time; none but the last is short."""
    rows: list[Row] = []
    cursor = None
    while True:
        page = get(person, path, limit=limit, **params, **({"cursor": cursor} if cursor else {}))
        rows += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows
        assert len(page["items"]) == limit


def test_an_entry_tells_whom_to_call_and_why(office: Office, staff: dict[str, Person]) -> None:
    patient = office.patient(name="Maria Lopez")
    office.network.refuses(patient.user.phone or "", 21612)
    appointment = office.book(patient)
    office.minute(ASKED)
    (entry,) = get(staff["nurse"], LIST)["items"]
    assert entry.pop("id") == str(office.log(appointment, "reminder")["_id"])
    assert entry == {
        "reason": "refused",
        "since": "2030-06-04T15:00:00Z",
        "kind": "reminder",
        "patient_id": patient.id,
        "patient_name": "Maria Lopez",
        "phone": patient.user.phone,
        "reply": None,
        "appointment_id": appointment["id"],
        "doctor_id": office.doctor.id,
        "doctor_name": office.doctor.user.name,
        "clinic_id": str(office.clinic.id),
        "clinic_name": office.clinic.name,
        "time_zone": "America/New_York",
        "start": "2030-06-04T18:00:00Z",
        "error_code": 21612,
        "resolved_at": None,
    }


def test_the_staff_see_their_own_and_an_administrator_all(
    office: Office, elsewhere: Office, staff: dict[str, Person]
) -> None:
    colleague = factories.make_doctor(office.run, office.clinic, weekly_hours=[])
    next_door = Office(office.network, office.db, office.clinic, colleague)
    ours, theirs = unreached(office)["id"], unreached(elsewhere)["id"]
    colleagues = unreached(next_door, number=1)["id"]
    assert on_list(staff["admin"]) == [colleagues, theirs, ours]
    assert on_list(staff["nurse"]) == [colleagues, ours]
    assert on_list(staff["doctor"]) == [ours]
    assert on_list(colleague) == [colleagues]
    nurse_of_both = factories.make_user(
        office.run,
        Role.NURSE,
        nurse=NurseProfile(clinic_ids=[office.clinic.clinic_id, elsewhere.clinic.clinic_id]),
    )
    nurse_of_none = factories.make_user(office.run, Role.NURSE)
    assert on_list(nurse_of_both) == [colleagues, theirs, ours]
    assert on_list(nurse_of_none) == []


FORBIDDEN: list[tuple[str, str, Callable[[dict[str, Person]], list[Person]]]] = [
    ("GET", LIST, lambda _: []),
    ("POST", f"{LIST}/{NOBODY}/resolve", lambda _: []),
    ("GET", f"/appointments/{NOBODY}/messages", lambda _: []),
    ("GET", "/sms-logs", lambda staff: [staff["nurse"], staff["doctor"]]),
]


@pytest.mark.parametrize(("method", "path", "others"), FORBIDDEN, ids=[path for _, path, _ in FORBIDDEN])
def test_no_patient_reads_what_the_staff_do(
    office: Office,
    staff: dict[str, Person],
    api: Any,
    method: str,
    path: str,
    others: Callable[[dict[str, Person]], list[Person]],
) -> None:
    for person in (office.patient(), *others(staff)):
        refused(person.client.request(method, path), 403, "NOT_ALLOWED")
    assert api.request(method, path).status_code == 401


@pytest.mark.parametrize("who", ["admin", "nurse", "doctor"])
def test_pages_of_the_list_hold_each_entry_once_newest_first(
    office: Office, staff: dict[str, Person], who: str
) -> None:
    slot_id = office.slot_id(TWO, capacity=7)
    for _ in range(7):  # all since the same moment
        office.book_seat(office.patient(phone=None), slot_id)
    office.minute(ASKED)
    last = unreached(office, number=1)["id"]
    entries = all_pages(staff[who], LIST, limit=3)
    assert entries[0]["appointment_id"] == last
    assert [each["since"] for each in entries] == sorted((each["since"] for each in entries), reverse=True)
    assert len({each["id"] for each in entries}) == 8
    assert all_pages(staff[who], LIST, limit=8) == entries


def test_an_entry_is_resolved_once(office: Office, staff: dict[str, Person]) -> None:
    first, second = unreached(office)["id"], unreached(office, number=1)["id"]
    entry = get(staff["nurse"], LIST)["items"][1]
    path = f"{LIST}/{entry['id']}/resolve"
    nurse = staff["nurse"].client
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: nurse.post(path), range(6)))
    (granted,) = (answer for answer in answers if answer.status_code == 200)
    assert done(granted) == {**entry, "resolved_at": "2030-06-03T16:00:00Z"}
    for answer in answers:
        if answer is not granted:
            refused(answer, 404, "CALL_NOT_FOUND")
    assert on_list(staff["nurse"]) == on_list(staff["admin"]) == [second]
    (log,) = office.db["sms_logs"].find({"call_list.resolved_at": NOON}, hint="_id_")
    assert str(log["appointment_id"]) == first
    assert log["call_list"]["resolved_by"] == staff["nurse"].object_id


@pytest.mark.parametrize("who", ["nurse", "doctor"])
def test_what_is_not_theirs_is_not_there_for_the_staff(
    office: Office, elsewhere: Office, staff: dict[str, Person], who: str
) -> None:
    theirs = unreached(elsewhere)
    (entry,) = get(staff["admin"], LIST)["items"]
    refused(staff[who].client.post(f"{LIST}/{entry['id']}/resolve"), 404, "CALL_NOT_FOUND")
    refused(staff[who].client.get(f"/appointments/{theirs['id']}/messages"), 404, "APPOINTMENT_NOT_FOUND")
    assert on_list(staff["admin"]) == [theirs["id"]]


def test_what_is_no_entry_is_not_resolved(office: Office, staff: dict[str, Person]) -> None:
    appointment = office.book(office.patient())
    office.minute(ASKED)
    log = office.log(appointment, "reminder")
    for an_id in (NOBODY, str(log["_id"]), appointment["id"]):
        refused(staff["admin"].client.post(f"{LIST}/{an_id}/resolve"), 404, "CALL_NOT_FOUND")
    assert "call_list" not in office.log(appointment, "reminder")
    assert staff["admin"].client.post(f"{LIST}/none/resolve").status_code == 422


def test_new_trouble_with_another_message_is_a_new_entry(office: Office, staff: dict[str, Person]) -> None:
    appointment = unreached(office)
    (entry,) = get(staff["nurse"], LIST)["items"]
    done(staff["nurse"].client.post(f"{LIST}/{entry['id']}/resolve"))
    office.do(office.doctor, appointment, "cancel", ASKED + MINUTE)
    office.send(ASKED + MINUTE)
    (again,) = get(staff["nurse"], LIST)["items"]
    assert (again["kind"], again["reason"], again["appointment_id"]) == (
        *("cancelled", "no_phone"),
        appointment["id"],
    )


@pytest.mark.parametrize("path", [LIST, "/sms-logs"])
@pytest.mark.parametrize("cursor", ["x", "W10", "bm90IGEgY3Vyc29y", ""])
def test_a_foreign_cursor_is_refused(office: Office, admin: Person, path: str, cursor: str) -> None:
    refused(admin.client.get(path, params={"cursor": cursor}), 422, "BAD_CURSOR")


def test_the_log_is_narrowed_by_every_filter_and_read_by_pages(office: Office, admin: Person) -> None:
    one, two = office.patient(), office.patient()
    first, second = office.book(one), office.book(two, TWO + 30 * MINUTE)
    office.send(NOON)
    office.minute(ASKED)
    office.reply(one, "1", ASKED + MINUTE)
    office.send(ASKED + MINUTE)
    everything = all_pages(admin, "/sms-logs", limit=2)
    assert len(everything) == office.db["sms_logs"].count_documents({}, hint="_id_") == 5
    whens = [row["created_at"] for row in everything]
    assert whens == sorted(whens, reverse=True)

    def only(**params: str) -> list[tuple[str, str]]:
        rows = all_pages(admin, "/sms-logs", limit=2, **params)
        assert all(each in everything for each in rows)
        return [(row["kind"], row["status"]) for row in rows]

    confirmed, reply, reminder, booked = (
        *(("confirmed", "sent"), ("reply", "received")),
        *(("reminder", "sent"), ("booked", "sent")),
    )
    assert sorted(only(patient_id=one.id)) == sorted([confirmed, reply, reminder, booked])
    assert only(patient_id=two.id) == [booked]
    assert sorted(only(appointment_id=first["id"])) == sorted([confirmed, reply, reminder, booked])
    assert only(appointment_id=second["id"], kind="reminder") == []
    assert only(kind="booked") == [booked, booked]
    assert only(status="received") == [reply]
    assert only(status="sent", kind="booked", patient_id=two.id) == [booked]
    asked, later = "2030-06-04T15:00:00Z", "2030-06-04T15:01:00Z"
    assert only(**{"from": asked, "to": later}) == [reminder]
    assert only(**{"to": asked}) == [booked, booked]
    assert sorted(only(**{"from": later})) == sorted([confirmed, reply])
    assert only(**{"from": later, "kind": "reminder"}) == []
    assert only(patient_id=NOBODY) == only(appointment_id=NOBODY) == []


@pytest.mark.parametrize(
    "params",
    [{"kind": "letter"}, {"status": "lost"}, {"from": "yesterday"}, {"limit": 0}, {"patient_id": "me"}],
    ids=str,
)
def test_a_filter_that_means_nothing_is_refused(office: Office, admin: Person, params: dict[str, Any]) -> None:
    assert admin.client.get("/sms-logs", params=params).status_code == 422


@pytest.mark.parametrize("who", ["admin", "nurse", "doctor"])
def test_an_appointments_messages_are_there_for_its_staff(office: Office, staff: dict[str, Person], who: str) -> None:
    patient = office.patient()
    appointment, other = office.book(patient), office.book(patient, TWO + HOUR)
    office.minute(ASKED)
    office.reply(patient, "1", ASKED + MINUTE)
    office.send(ASKED + MINUTE)
    rows = all_pages(staff[who], f"/appointments/{appointment['id']}/messages", limit=2)
    assert {row["appointment_id"] for row in rows} == {appointment["id"]}
    assert {(row["kind"], row["direction"]) for row in rows} == {
        *(("confirmed", "outbound"), ("reply", "inbound")),
        *(("reminder", "outbound"), ("booked", "outbound")),
    }
    (reply,) = (row for row in rows if row["kind"] == "reply")
    assert reply["answer"].startswith("Thank you, confirmed: Tue, Jun 4")
    others = all_pages(staff[who], f"/appointments/{other['id']}/messages", limit=10)
    assert [row["kind"] for row in others] == ["booked"]
