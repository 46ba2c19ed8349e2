"""Two records of one person become one: what moves, what conflicts, and where the other record's id leads."""

from typing import Any

import pytest
from beanie import PydanticObjectId

from backend.messaging.outbox.claim import claim_pending
from backend.patients.merging import repository
from backend.patients.merging.resolving import records_of
from tests import factories
from tests.appointments.conftest import book, doctor, monday
from tests.appointments.support import HOUR, MINUTE, NOW, TEN, Book, booked, done, refused, stored, try_booking
from tests.directory.support import NOWHERE, at_once, code, made, names, read
from tests.factories import Person, Run, make_user
from tests.patients.merging import (
    BORN,
    CARL,
    CHARLES,
    causes,
    entered,
    everything,
    listed,
    merged,
    sweep,
    try_merging,
)

__all__ = ["book", "clinic", "doctor", "monday"]

Row = dict[str, Any]


@pytest.fixture
def clinic(run: Run[Any]) -> Any:
    """A clinic in New York that is open every day."""
    return factories.make_clinic(run)


@pytest.fixture
def charles(nurse: Person) -> Row:
    """The record that is to survive."""
    return entered(nurse, CHARLES)


@pytest.fixture
def carl(nurse: Person) -> Row:
    """A second record of the same man."""
    return entered(nurse, CARL)


def test_a_preview_says_what_would_move_and_changes_nothing(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, db: Any
) -> None:
    first, second, third = book.slot(capacity=2), book.slot(TEN + HOUR), book.slot(TEN + 2 * HOUR)
    ours = booked(nurse, first, patient_id=charles["id"])
    stuck = booked(nurse, first, patient_id=carl["id"])
    free = booked(nurse, second, patient_id=carl["id"])
    past = booked(nurse, third, patient_id=carl["id"])
    done(nurse.client.post(f"/appointments/{past['id']}/cancel"))
    before = everything(db)

    report = merged(admin, charles, carl, dry_run=True, take=["phone"])

    assert everything(db) == before
    assert report["dry_run"] is True
    assert report["undo_until"] is None
    assert (report["appointments"], report["appointment_ids"]) == (2, [free["id"], past["id"]])
    (conflict,) = report["conflicts"]
    assert (conflict["id"], conflict["overlaps"], conflict["status"]) == (stuck["id"], [ours["id"]], "scheduled")
    results = {each["field"]: each["result"] for each in report["fields"]}
    assert results == {
        "name": "Charles Babbage",
        "phone": "+15550100301",
        "address": "1 Dorset Street",
        "allergies": ["penicillin", "latex"],
        "notes": "Prefers mornings.\n\nHard of hearing.",
    }


def test_all_that_belongs_to_the_other_record_moves(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    visit = booked(nurse, book.slot(), patient_id=carl["id"])
    run(claim_pending(10, is_real=False))
    messages = db.sms_logs.count_documents({"patient_id": PydanticObjectId(carl["id"])})
    assert messages

    assert merged(admin, charles, carl, dry_run=True)["messages"] == messages
    report = merged(admin, charles, carl, take=["phone", "phone"])

    assert (report["appointment_ids"], report["conflicts"], report["messages"]) == ([visit["id"]], [], messages)
    assert report["patient_id"] == charles["id"]
    moved = read(admin.client, f"/appointments/{visit['id']}")
    assert (moved["patient_id"], moved["patient_name"]) == (charles["id"], "Charles Babbage")
    logged = read(admin.client, "/sms-logs", patient_id=charles["id"])["items"]
    assert len(logged) == messages
    shown = read(admin.client, f"/patients/{charles['id']}")
    (entry,) = shown["merged"]
    assert (entry["id"], entry["name"], entry["by"]) == (carl["id"], "Carl Babbage", admin.account_id)
    assert (shown["phone"], shown["address"]) == ("+15550100301", "1 Dorset Street")
    assert (shown["allergies"], shown["notes"]) == (["penicillin", "latex"], "Prefers mornings.\n\nHard of hearing.")
    assert names(nurse.client, "/patients", phone_ends_with="0301") == ["Charles Babbage"]


def test_the_name_of_the_other_record_can_be_kept(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    ours = booked(nurse, book.slot(), patient_id=charles["id"])
    theirs = booked(nurse, book.slot(TEN + HOUR), patient_id=carl["id"])
    merged(admin, charles, carl, take=["name"])
    assert names(nurse.client, "/patients", q="carl babbage") == ["Carl Babbage"]
    assert names(nurse.client, "/patients", q="charles") == []
    for visit in (ours, theirs):
        assert read(admin.client, f"/appointments/{visit['id']}")["patient_name"] == "Carl Babbage"


def test_a_merged_record_is_in_no_list_and_no_duplicate(
    admin: Person, nurse: Person, charles: Row, carl: Row
) -> None:
    merged(admin, charles, carl)
    for params in ({"q": "carl"}, {"q": "babbage", "is_active": "false"}, {"phone_ends_with": "0301"}):
        assert names(nurse.client, "/patients", **params) == []
    again = {"name": "Carl Babbage", "date_of_birth": BORN}
    answer = nurse.client.post("/patients", json=again)
    assert code(answer) == (409, "POSSIBLE_DUPLICATE")
    assert [each["id"] for each in answer.json()["candidates"]] == [charles["id"]]


def test_the_id_of_a_merged_record_leads_to_the_survivor(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any]
) -> None:
    path = f"/patients/{carl['id']}"
    assert read(nurse.client, path)["id"] == carl["id"]  # what a cache may hold by now
    assert listed(nurse, patient_id=carl["id"]) == []
    merged(admin, charles, carl)

    assert read(nurse.client, path)["id"] == charles["id"]
    patched = done(nurse.client.patch(path, json={"address": "2 Dorset Street"}))
    assert (patched["id"], patched["address"]) == (charles["id"], "2 Dorset Street")
    visit = booked(nurse, book.slot(), patient_id=carl["id"])
    assert visit["patient_id"] == charles["id"]
    assert listed(nurse, patient_id=carl["id"]) == [visit["id"]]
    assert [row["id"] for row in read(nurse.client, f"{path}/appointments")["items"]] == [visit["id"]]
    run(claim_pending(10, is_real=False))
    assert read(admin.client, "/sms-logs", patient_id=carl["id"])["items"]
    account = make_user(run, "patient")
    link = made(nurse.client, f"{path}/links", {"user_id": account.account_id, "relation": "carer"})
    assert [each["id"] for each in nurse.client.get(f"{path}/links").json()] == [link["id"]]
    assert account.client.get(path).json()["id"] == charles["id"]
    own = booked(account, book.slot(TEN + HOUR), patient_id=carl["id"])
    assert own["patient_id"] == charles["id"]
    assert done(nurse.client.post(f"{path}/links/{link['id']}/keep"))["id"] == link["id"]
    assert nurse.client.get(f"{path}/links/{link['id']}").status_code == 200
    assert nurse.client.delete(f"{path}/links/{link['id']}").status_code == 204
    paper = done(nurse.client.post(f"{path}/invitations", json={"relation": "carer"}))["code"]
    assert done(account.client.post("/users/me/patients/redeem", json={"code": paper}))["id"] == charles["id"]
    report = done(nurse.client.delete(path))
    assert [row["id"] for row in report["appointments"]] == [visit["id"], own["id"]]
    assert read(nurse.client, f"/patients/{charles['id']}")["is_active"] is False


def test_an_invitation_to_the_other_record_still_works(
    admin: Person, nurse: Person, charles: Row, carl: Row, run: Run[Any]
) -> None:
    paper = done(nurse.client.post(f"/patients/{carl['id']}/invitations", json={"relation": "carer"}))["code"]
    merged(admin, charles, carl)
    account = make_user(run, "patient")
    assert done(account.client.post("/users/me/patients/redeem", json={"code": paper}))["id"] == charles["id"]


def test_a_request_repeated_across_the_merge_is_the_same(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    slot = book.slot()
    first = done(try_booking(nurse, slot, key="k1", patient_id=carl["id"]), 201)
    merged(admin, charles, carl)
    again = try_booking(nurse, slot, key="k1", patient_id=carl["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["id"] == first["id"]


def test_an_appointment_in_conflict_stays_until_somebody_decides(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    slot, later = book.slot(capacity=2), book.slot(TEN + HOUR)
    ours, theirs = (booked(nurse, slot, patient_id=each["id"]) for each in (charles, carl))

    report = merged(admin, charles, carl)

    (conflict,) = report["conflicts"]
    assert (conflict["id"], conflict["overlaps"]) == (theirs["id"], [ours["id"]])
    assert causes(admin, theirs) == [("merge", charles["id"])]
    assert causes(admin, ours) == []
    assert listed(nurse, needs_decision="true") == [theirs["id"]]
    for record in (charles, carl):  # nobody loses sight of it
        assert sorted(listed(nurse, patient_id=record["id"])) == [ours["id"], theirs["id"]]
    again = merged(admin, charles, carl)
    assert [each["id"] for each in again["conflicts"]] == [theirs["id"]]
    assert sweep(run, NOW + 61 * MINUTE) == 1, "the job goes on after an hour, too"

    done(nurse.client.post(f"/appointments/{theirs['id']}/reschedule", json={"slot_id": str(later.id)}))
    assert sweep(run, NOW + 64 * MINUTE) == 1
    assert stored(db, theirs)["patient_id"] == PydanticObjectId(charles["id"])
    assert sweep(run, NOW + 70 * MINUTE) == 0


def test_the_patient_can_decide_about_a_conflict_too(
    admin: Person, nurse: Person, book: Book, charles: Row, run: Run[Any], db: Any
) -> None:
    account = make_user(run, "patient")
    slot = book.slot(capacity=2)
    theirs = booked(account, slot)
    ours = booked(nurse, slot, patient_id=charles["id"])
    merged(admin, charles, {"id": account.id})
    assert listed(account) == sorted([ours["id"], theirs["id"]])
    done(account.client.post(f"/appointments/{theirs['id']}/cancel"))
    sweep(run, NOW + 3 * MINUTE)
    assert stored(db, theirs)["patient_id"] == PydanticObjectId(charles["id"])
    assert sorted(listed(account)) == sorted([ours["id"], theirs["id"]])


def test_deactivating_the_survivor_reports_conflicts_too(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    slot = book.slot(capacity=2)
    visits = [booked(nurse, slot, patient_id=each["id"]) for each in (charles, carl)]
    merged(admin, charles, carl)
    report = done(nurse.client.delete(f"/patients/{charles['id']}", params={"appointments": "cancel"}))
    assert [(row["id"], row["status"]) for row in report["appointments"]] == [
        (visit["id"], "cancelled") for visit in visits
    ]


def test_a_conflict_whose_slot_goes_has_two_reasons_to_decide(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    slot = book.slot(capacity=2)
    ours, theirs = (booked(nurse, slot, patient_id=each["id"]) for each in (charles, carl))
    merged(admin, charles, carl)
    done(nurse.client.delete(f"/slots/{slot.id}"))
    assert [kind for kind, _ in causes(admin, theirs)] == ["merge", "slot"]
    done(nurse.client.post(f"/appointments/{ours['id']}/cancel"))
    merged(admin, charles, carl)
    assert [kind for kind, _ in causes(admin, theirs)] == ["slot"]


def test_cancelling_the_survivors_appointment_lets_the_other_move(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row
) -> None:
    slot = book.slot(capacity=2)
    ours, theirs = (booked(nurse, slot, patient_id=each["id"]) for each in (charles, carl))
    merged(admin, charles, carl)
    done(nurse.client.post(f"/appointments/{ours['id']}/cancel"))
    assert merged(admin, charles, carl)["appointment_ids"] == [theirs["id"]]
    assert causes(admin, theirs) == []
    shown = read(nurse.client, f"/appointments/{theirs['id']}")
    assert (shown["patient_id"], shown["status"]) == (charles["id"], "scheduled")


def test_an_appointment_kept_in_spite_of_the_conflict_is_not_marked_again(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    slot = book.slot(capacity=2)
    ours, theirs = (booked(nurse, slot, patient_id=each["id"]) for each in (charles, carl))
    merged(admin, charles, carl)
    done(nurse.client.post(f"/appointments/{theirs['id']}/keep"))
    sweep(run, NOW + 3 * MINUTE)
    assert causes(admin, theirs) == []
    done(nurse.client.post(f"/appointments/{ours['id']}/cancel"))
    sweep(run, NOW + 6 * MINUTE)
    assert stored(db, theirs)["patient_id"] == PydanticObjectId(charles["id"])


def test_open_bookings_of_both_get_numbers_of_their_own(admin: Person, run: Run[Any], book: Book, db: Any) -> None:
    body = {"names": {"en": "Check-up"}, "minutes": 30, "open_bookings_per_patient": 1}
    kind = made(admin.client, f"/clinics/{book.clinic.clinic_id}/visit-types", body)
    own, other = (make_user(run, "patient") for _ in range(2))
    slots = book.slots(2)
    visits = [
        booked(person, slot, visit_type_id=kind["id"]) for person, slot in zip((own, other), slots, strict=True)
    ]
    db.users.update_one({"_id": other.user.user_id}, {"$set": {"is_active": False}})

    report = merged(admin, {"id": own.id}, {"id": other.id})

    assert report["appointment_ids"] == [visits[1]["id"]]
    assert sorted(stored(db, visit)["open_number"] for visit in visits) == [0, 1]
    third = try_booking(own, book.slot(TEN + 3 * HOUR), visit_type_id=kind["id"])
    refused(third, 409, "TOO_MANY_OPEN_BOOKINGS")


def test_a_booking_under_way_when_the_merge_began_is_swept_up(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    visit = booked(nurse, book.slot(), patient_id=charles["id"])
    merged(admin, charles, carl)
    late = PydanticObjectId(carl["id"])
    db.appointments.update_one({"_id": PydanticObjectId(visit["id"])}, {"$set": {"patient_id": late}})
    assert sweep(run, NOW + MINUTE) == 0
    assert sweep(run, NOW + 3 * MINUTE) == 1
    assert stored(db, visit)["patient_id"] == PydanticObjectId(charles["id"])
    assert [sweep(run, NOW + minutes * MINUTE) for minutes in (30, 62, 100)] == [1, 1, 0]


def test_records_are_merged_in_a_chain(
    admin: Person, nurse: Person, book: Book, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    last = made(nurse.client, "/patients", {"name": "Karl B."})
    slot = book.slot(capacity=3)
    ours = booked(nurse, slot, patient_id=charles["id"])
    stuck = booked(nurse, slot, patient_id=carl["id"])
    free = booked(nurse, book.slot(TEN + HOUR), patient_id=carl["id"])
    merged(admin, charles, carl)
    merged(admin, last, charles)

    for each in (carl, charles, last):
        assert read(nurse.client, f"/patients/{each['id']}")["id"] == last["id"]
    assert sorted(listed(nurse, patient_id=carl["id"])) == sorted([ours["id"], stuck["id"], free["id"]])
    refused(try_merging(admin, last, carl), 409, "ALREADY_MERGED")
    refused(try_merging(admin, carl, last), 409, "MERGE_WITH_ITSELF")
    done(nurse.client.post(f"/appointments/{ours['id']}/cancel"))
    for minutes in (3, 6):
        sweep(run, NOW + minutes * MINUTE)
    assert stored(db, stuck)["patient_id"] == PydanticObjectId(last["id"])


def test_bad_merges_are_refused_and_change_nothing(
    admin: Person, nurse: Person, charles: Row, carl: Row, db: Any
) -> None:
    third = made(nurse.client, "/patients", {"name": "Karl B."})
    merged(admin, third, carl)
    dead, gone = (made(nurse.client, "/patients", {"name": name}) for name in ("D. Ead", "G. One"))
    nurse.client.delete(f"/patients/{dead['id']}", params={"reason": "deceased"})
    nurse.client.delete(f"/patients/{gone['id']}")
    before = everything(db)
    nobody = {"id": NOWHERE}
    for dry_run in (True, False):
        for survivor, other, status, why in [
            (charles, charles, 409, "MERGE_WITH_ITSELF"),
            (carl, third, 409, "MERGE_WITH_ITSELF"),
            (charles, carl, 409, "ALREADY_MERGED"),
            (charles, nobody, 404, "PATIENT_NOT_FOUND"),
            (nobody, charles, 404, "PATIENT_NOT_FOUND"),
            (gone, charles, 409, "PATIENT_INACTIVE"),
            (charles, dead, 409, "PATIENT_INACTIVE"),
        ]:
            refused(try_merging(admin, survivor, other, dry_run=dry_run), status, why)
    path = f"/patients/{charles['id']}/merge"
    for body in (
        *({}, {"other_id": "x"}, {"other_id": None}, {"other_id": third["id"], "keep": []}),
        *({"other_id": third["id"], "take": take} for take in ("phone", ["notes"], ["is_active"], [None])),
    ):
        refused(admin.client.post(path, json=body), 422, "VALIDATION_ERROR")
    refused(admin.client.post(path, json={"other_id": third["id"]}, params={"dry": "1"}), 422, "VALIDATION_ERROR")
    assert everything(db) == before
    assert merged(admin, charles, gone)["appointments"] == 0


def test_two_merges_at_once_make_no_circle(admin: Person, nurse: Person, db: Any) -> None:
    for round_ in range(8):
        one, two = (made(nurse.client, "/patients", {"name": f"Twin {round_} {n}"}) for n in "ab")
        answers = at_once(lambda: try_merging(admin, one, two), lambda: try_merging(admin, two, one))  # noqa: B023
        assert {code(answer) for answer in answers} <= {
            *((200, None), (409, "MERGE_UNDER_WAY"), (409, "MERGE_WITH_ITSELF"))
        }
        stored_now = [db.patients.find_one({"_id": PydanticObjectId(each["id"])}) for each in (one, two)]
        into = [each.get("merged_into") for each in stored_now]
        assert into.count(None) >= 1
        assert sum(answer.status_code == 200 for answer in answers) == 2 - into.count(None)
        assert all(each["absorbing"] == [] for each in stored_now)
        assert db.patient_merges.count_documents({"state": "begun"}, hint="_id_") == 0


def test_of_two_opposite_merges_that_both_marked_their_survivor_none_goes_on(
    admin: Person, charles: Row, carl: Row, run: Run[Any], db: Any
) -> None:
    one, two = (PydanticObjectId(each["id"]) for each in (charles, carl))
    run(repository.absorb(one, two))
    run(repository.absorb(two, one))
    assert [run(records_of(each)) for each in (one, two)] == [(one,), (two,)], "neither sees the other's yet"
    assert run(repository.give_up(one, two)) is False
    assert run(repository.give_up(two, one)) is False
    refused(try_merging(admin, charles, carl), 409, "MERGE_UNDER_WAY")
    run(repository.let_go(one, two))
    run(repository.let_go(two, one))
    merged(admin, charles, carl)
    assert run(repository.absorb(two, one)) is False


def test_the_same_merge_twice_at_once_is_one(admin: Person, nurse: Person, book: Book, db: Any) -> None:
    for round_ in range(4):
        one, two = (made(nurse.client, "/patients", {"name": f"Twin {round_} {n}"}) for n in "ab")
        visit = booked(nurse, book.slot(TEN + round_ * HOUR), patient_id=two["id"])
        answers = at_once(*[lambda: try_merging(admin, one, two)] * 3)  # noqa: B023
        assert {code(answer) for answer in answers} <= {(200, None), (409, "MERGE_UNDER_WAY")}
        assert stored(db, visit)["patient_id"] == PydanticObjectId(one["id"])
        assert len(read(nurse.client, f"/patients/{one['id']}")["merged"]) == 1
