"""Every declared index is on the server with its options, those that make the rules are spelled out once more."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from backend.core.clock import EPOCH, utc_now
from backend.documents import DOCUMENTS

Db = Database[dict[str, Any]]

Essence = tuple[list[tuple[str, Any]], dict[str, Any]]
"""What two indexes are compared by: keys in order, and the options that change what they do."""

OPTIONS = ("unique", "partialFilterExpression", "expireAfterSeconds", "sparse", "collation")


def essence(index: dict[str, Any]) -> Essence:
    """Of an index as it is declared, or as the server tells of it."""
    options = {name: aware(index[name]) for name in OPTIONS if index.get(name) not in (None, False)}
    return list(dict(index["key"]).items()), options


def aware(option: Any) -> Any:
    """The server tells of an index's dates without a zone."""
    if isinstance(option, Mapping):
        return {name: aware(value) for name, value in option.items()}
    return option.replace(tzinfo=UTC) if isinstance(option, datetime) else option


DECLARED: list[tuple[str, Essence]] = [
    (document.Settings.name, essence(index.document))
    for document in DOCUMENTS
    for index in getattr(document.Settings, "indexes", [])
]


def on_server(db: Db, collection: str) -> list[Essence]:
    """The indexes of a collection but for that of `_id`."""
    found = db[collection].index_information()
    return [essence(dict(index)) for name, index in found.items() if name != "_id_"]


@pytest.mark.parametrize(
    ("collection", "index"),
    DECLARED,
    ids=[f"{name} {' '.join(field for field, _ in keys)}" for name, (keys, _) in DECLARED],
)
def test_a_declared_index_is_on_the_server_with_its_options(db: Db, collection: str, index: Essence) -> None:
    assert index in on_server(db, collection)


def test_no_declared_index_was_merged_with_another(db: Db) -> None:
    declared = Counter(collection for collection, _ in DECLARED)
    assert declared == {collection: len(on_server(db, collection)) for collection in declared}


def test_every_collection_has_a_document(db: Db) -> None:
    collections = {name for name in db.list_collection_names() if not name.startswith("system.")}
    assert collections <= {document.Settings.name for document in DOCUMENTS}


# The rules that are kept by nothing but an index: collection, keys, and the filter of a partial one.
ACTIVE = {"active": True}
RULES: list[tuple[str, dict[str, int], dict[str, Any] | None]] = [
    # A doctor has no two slots in the same five minutes.
    ("slots", {"doctor_id": 1, "ticks": 1}, {"is_active": True}),
    # A patient is not in two places at once.
    ("appointments", {"patient_id": 1, "ticks": 1}, {**ACTIVE, "patient_id": {"$exists": True}}),
    # A seat is held once.
    ("appointments", {"seats.slot": 1, "seats.seat": 1}, {**ACTIVE, "seats.slot": {"$exists": True}}),
    (
        "appointments",
        {"seats.slot": 1, "seats.reserved": 1},
        {**ACTIVE, "seats.reserved": {"$exists": True}},
    ),
    # A doctor sees so many patients a day.
    ("appointments", {"doctor_id": 1, "clinic_day": 1, "daily_number": 1}, {"daily_number": {"$gte": 0}}),
    # A patient has so many open bookings of a visit type.
    ("appointments", {"patient_id": 1, "visit_type_id": 1, "open_number": 1}, {"open_number": {"$gte": 0}}),
    # A retry is the same request.
    ("appointments", {"created_by": 1, "idempotency_key": 1}, {"idempotency_key": {"$gt": ""}}),
    # An e-mail address and a proven phone belong to one active account, a licence to one doctor.
    ("users", {"email": 1}, {"is_active": True, "email": {"$gt": ""}}),
    ("users", {"verified_phone": 1}, {"is_active": True, "verified_phone": {"$gt": ""}}),
    ("users", {"doctor.license_number": 1}, {"doctor.license_number": {"$gt": ""}}),
    # An account acts for a patient once, and is itself one patient at most.
    ("patient_links", {"user_id": 1, "patient_id": 1}, None),
    ("patient_links", {"user_id": 1, "relation": 1}, {"relation": "self"}),
    ("patient_links", {"patient_id": 1, "relation": 1}, {"relation": "self"}),
    ("patient_invitations", {"code_hash": 1}, None),
    # A record is merged once.
    ("patient_merges", {"other_id": 1}, {"is_current": True}),
    # A clinic is known by name and city, a department by name, a visit type by its clinic and name.
    ("clinics", {"name_key": 1, "city_key": 1}, None),
    ("departments", {"name_key": 1}, None),
    ("visit_types", {"clinic_id": 1, "name_keys": 1}, None),
    ("sessions", {"token_hash": 1}, None),
    # A message is owed once; one at the carrier is one of ours, and so is one attempt to post it.
    (
        "sms_logs",
        {"appointment_id": 1, "kind": 1, "recipient": 1, "occurrence": 1},
        {"occurrence": {"$gte": 0}},
    ),
    ("sms_logs", {"twilio_sid": 1}, {"twilio_sid": {"$gt": ""}}),
    ("sms_logs", {"attempt_id": 1}, {"attempt_id": {"$gt": ""}}),
]

# What timed work scans, once a minute in every process: each index holds only what is still to be done.
WORK: list[tuple[str, str]] = [
    ("users", "pending_patient.since"),
    ("patient_links", "pending.since"),
    ("patient_merges", "due_at"),
    ("appointments", "remind_at"),
    ("appointments", "auto_cancel_at"),
    ("appointments", "pending_messages.pending_since"),
    ("sms_logs", "not_before"),
    ("sms_logs", "claimed_until"),
    ("sms_logs", "reconcile_at"),
]


@pytest.mark.parametrize(
    ("collection", "keys", "where"), RULES, ids=[f"{name} {' '.join(keys)}" for name, keys, _ in RULES]
)
def test_a_rule_is_kept_by_a_unique_index(
    db: Db, collection: str, keys: dict[str, int], where: dict[str, Any] | None
) -> None:
    (found,) = (
        index
        for index in db[collection].index_information().values()
        if dict(index["key"]) == keys and index.get("unique")
    )
    assert found.get("partialFilterExpression") == where


@pytest.mark.parametrize(("collection", "field"), WORK, ids=[" ".join(each) for each in WORK])
def test_timed_work_scans_only_what_is_still_to_be_done(db: Db, collection: str, field: str) -> None:
    keys, options = [(field, 1)], {"partialFilterExpression": {field: {"$gt": EPOCH}}}
    assert (keys, options) in on_server(db, collection)
    plan = db[collection].find({field: {"$gt": EPOCH, "$lte": utc_now()}}).explain()["queryPlanner"]
    assert plan["winningPlan"]["inputStage"]["keyPattern"] == {field: 1}


def test_the_staffs_list_is_read_from_an_index_of_open_entries(db: Db) -> None:
    keys = [("call_list.since", -1), ("_id", -1)]
    assert (keys, {"partialFilterExpression": {"call_list.is_open": True}}) in on_server(db, "sms_logs")


@pytest.mark.parametrize("collection", ["appointments", "sessions", "login_failures", "one_time_codes"])
def test_what_has_expired_goes_by_itself(db: Db, collection: str) -> None:
    (found,) = (index for index in db[collection].index_information().values() if "expireAfterSeconds" in index)
    assert dict(found["key"]) == {"expires_at": 1}
    assert found["expireAfterSeconds"] == 0


def test_clinics_are_found_on_the_globe(db: Db) -> None:
    assert "2dsphere" in {kind for index in db["clinics"].index_information().values() for _, kind in index["key"]}


def test_no_other_index_is_unique(db: Db) -> None:
    """A unique index that nobody knows of refuses what the rules allow."""
    known = {(collection, repr(keys)) for collection, keys, _ in RULES}
    for collection in {name for name, _ in DECLARED}:
        for index in db[collection].index_information().values():
            if index.get("unique"):
                assert (collection, repr(dict(index["key"]))) in known


def test_the_tests_server_refuses_a_query_that_no_index_serves(db: Db) -> None:
    assert db.client.admin.command({"getParameter": 1, "notablescan": 1})["notablescan"] is True
