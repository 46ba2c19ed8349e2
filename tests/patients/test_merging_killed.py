"""A process is killed amid merges and undoings, in each at another write; the job leaves each merged or as before."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId

from backend.core.clock import utc_now
from backend.scheduling.documents import Slot
from tests import factories
from tests.directory.support import made
from tests.factories import Person, Run
from tests.patients.merging import CARL, CHARLES, Row, entered, merged, sweep, undone
from tests.races.support import HOUR, add_slot, client_of, in_background, make_book, reaches, wired_server
from tests.support.wire import Command, Held

pytestmark = [pytest.mark.races, pytest.mark.long]

MOST_WRITES = 60
WRITTEN = {"patients", "patient_links", "patient_merges", "appointments", "sms_logs"}


@dataclass(frozen=True)
class Pair:
    """Two records of one man with appointments at the same time; the other one has one more, and a message."""

    survivor: Row
    other: Row
    daughter: Person
    son: Person


def new_pair(run: Run[Any], nurse: Person, db: Any, both: Slot, free: Slot) -> Pair:
    """The daughter acts for both records, the son for the other one."""
    survivor, other = entered(nurse, CHARLES), entered(nurse, CARL)
    daughter, son = (factories.make_user(run, "patient") for _ in range(2))
    for account, record in ((daughter, survivor), (daughter, other), (son, other)):
        link = {"user_id": account.account_id, "relation": "carer"}
        made(nurse.client, f"/patients/{record['id']}/links", link)
    for slot, record in ((both, survivor), (both, other), (free, other)):
        made(nurse.client, "/appointments", {"slot_id": str(slot.id), "patient_id": record["id"]})
    message = {"direction": "inbound", "kind": "reply", "status": "received", "created_at": utc_now()}
    db.sms_logs.insert_one({**message, "patient_id": PydanticObjectId(other["id"])})
    return Pair(survivor, other, daughter, son)


def is_write(command: Command) -> bool:
    """Whether a command changes what belongs to the records."""
    return command.name in ("insert", "update", "findAndModify", "delete") and command.collection in WRITTEN


def state_of(db: Any, pair: Pair) -> Row:
    """All that belongs to the two records, without what every write changes."""
    ids = {pair.survivor["id"]: "survivor", pair.other["id"]: "other"}
    accounts = {pair.daughter.user.user_id: "daughter", pair.son.user.user_id: "son"}
    whose = {"patient_id": {"$in": [PydanticObjectId(each) for each in ids]}}
    records = {
        name: db.patients.find_one({"_id": PydanticObjectId(id)}, {"version": 0, "updated_at": 0})
        for id, name in ids.items()
    }
    return {
        **records,
        "links": sorted(
            (accounts[row["user_id"]], ids[str(row["patient_id"])]) for row in db.patient_links.find(whose)
        ),
        "appointments": sorted(
            (row["start"], ids[str(row["patient_id"])], row["patient_name"], bool(row.get("needs_decision")))
            for row in db.appointments.find(whose)
        ),
        "messages": [ids[str(row["patient_id"])] for row in db.sms_logs.find(whose)],
    }


@dataclass(frozen=True)
class Deaths:
    """Pairs for which a request died before its first write, before its second, …; and what they were before."""

    pairs: list[Pair]
    before: list[Row]


def kill_before_each_write(
    db: Any, admin: Person, new: Callable[[], Pair], request: Callable[[httpx.Client, Pair], httpx.Response]
) -> Deaths:
    """Makes a request for one pair after the other, each stopped one write later, until none is left; kill -9."""
    deaths, held = Deaths([], []), list[Held]()
    with wired_server() as wired, ExitStack() as stack:
        client, is_under_way = client_of(admin, wired.program.base_url), True
        while is_under_way and len(held) < MOST_WRITES:
            pair = new()
            deaths.pairs.append(pair)
            deaths.before.append(state_of(db, pair))
            held.append(stack.enter_context(wired.wire.holding(is_write, skip=len(held))))
            is_under_way = reaches(held[-1], in_background(request, client, pair))
        wired.program.kill()
        for each in held:
            each.lose()
    assert len(held) < MOST_WRITES
    return deaths


@pytest.fixture
def new(run: Run[Any], nurse: Person, db: Any) -> Callable[[], Pair]:
    """Makes another pair."""
    book = make_book(run, capacity=200)
    nurse_of_book = factories.make_nurse(run, book.clinic)
    free = add_slot(run, book.doctor, book.clinic, book.slot.start + 2 * HOUR, 200)
    return lambda: new_pair(run, nurse_of_book, db, book.slot, free)


def test_a_merge_whose_process_died_is_finished_or_never_was(
    run: Run[Any], db: Any, admin: Person, new: Callable[[], Pair]
) -> None:
    def request(client: httpx.Client, pair: Pair) -> httpx.Response:
        return client.post(f"/patients/{pair.survivor['id']}/merge", json={"other_id": pair.other["id"]})

    whole = new()
    merged(admin, whole.survivor, whole.other)
    wanted = state_of(db, whole)
    deaths = kill_before_each_write(db, admin, new, request)

    assert len(deaths.pairs) > 12
    assert sweep(run, utc_now() + timedelta(minutes=3)) == len(deaths.pairs)  # the first died before it began
    for number, (pair, before) in enumerate(zip(deaths.pairs, deaths.before, strict=True)):
        after = state_of(db, pair)
        if number == 0:
            assert after == before
            continue
        same = ("links", "appointments", "messages")
        assert {name: after[name] for name in same} == {name: wanted[name] for name in same}, number
        assert after["other"]["merged_into"] == PydanticObjectId(pair.survivor["id"])
        assert after["survivor"]["absorbing"] == []
        assert [str(each["id"]) for each in after["survivor"]["merged"]] == [pair.other["id"]]
        assert after["survivor"]["address"] == "1 Dorset Street"


def test_an_undoing_whose_process_died_is_finished_or_never_was(
    run: Run[Any], db: Any, admin: Person, new: Callable[[], Pair]
) -> None:
    def request(client: httpx.Client, pair: Pair) -> httpx.Response:
        return client.post(f"/patients/{pair.survivor['id']}/merge/undo", json={"other_id": pair.other["id"]})

    befores = []

    def new_merged() -> Pair:
        pair = new()
        befores.append(state_of(db, pair))
        merged(admin, pair.survivor, pair.other)
        return pair

    whole = new_merged()
    undone(admin, whole.survivor, whole.other)
    wanted = state_of(db, whole)
    deaths = kill_before_each_write(db, admin, new_merged, request)

    assert len(deaths.pairs) > 8
    sweep(run, utc_now() + timedelta(minutes=3))
    for number, (pair, before) in enumerate(zip(deaths.pairs, deaths.before, strict=True)):
        after = state_of(db, pair)
        if number == 0:
            assert after == before
            continue
        same = ("links", "appointments", "messages")
        assert {name: after[name] for name in same} == {name: wanted[name] for name in same}, number
        for record in ("survivor", "other"):
            assert after[record] == befores[number + 1][record], number
