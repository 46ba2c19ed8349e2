"""What a request may look like: days for moments, no unknown parameters, few faults in an answer."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from backend import api as assembled
from backend.core.http.time_range import TimeRange, end_moment, first_moment
from tests import factories
from tests.contract.document import OPERATIONS, Operation
from tests.contract.test_roles import ROWS
from tests.contract.world import World, call

CHECKED = {
    id: operation
    for id, operation in OPERATIONS.items()
    if operation.path.startswith("/api/") and id not in assembled.SIGNED
}


@pytest.mark.parametrize("operation", CHECKED.values(), ids=CHECKED)
def test_an_unknown_query_parameter_is_refused_everywhere(operation: Operation, world: World) -> None:
    valid = ROWS[operation.id][-1](world)
    world.caller = world.person("admin")
    answer = call(query={"dryrun": "true"}, **valid.ids).send(operation, world.client())
    assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")
    assert [fault["loc"] for fault in answer.json()["errors"] if fault["loc"][0] == "query"] == [["query", "dryrun"]]


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("limit=1&doctor=x", ["doctor"]),
        ("doctor=x&limit=1&clinic=y", ["doctor", "clinic"]),
        ("limit=1&", []),
        ("li%6Dit=1", []),
        ("limit=1&%64octor=x", ["doctor"]),
        ("limit=1&%FF=x", ["\ufffd"]),
    ],
)
def test_an_unknown_parameter_is_refused_beside_known_ones(api: httpx.Client, query: str, unknown: list[str]) -> None:
    answer = api.get(f"/slots?{query}")
    assert answer.status_code == (422 if unknown else 200), answer.text
    assert [fault["loc"][1] for fault in answer.json().get("errors", [])] == unknown


def test_at_most_twenty_faults_are_listed(api: httpx.Client) -> None:
    body = {f"unknown_{number}" * 10: "x" for number in range(1000)}
    answer = api.post("/auth/register", json=body)
    refused = answer.json()
    assert (answer.status_code, len(refused["errors"])) == (422, 20)
    assert refused["more_errors"] > 980
    assert len(answer.content) < 10_000


def test_a_lost_plus_is_explained(api: httpx.Client) -> None:
    answer = api.get("/slots?from=2030-06-03T10:00:00+02:00")
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["loc"], "%2B" in fault["msg"]) == (["query", "from"], True)


JUNE_6_IN_AUCKLAND = 55 * 60
"""June 6, 9:00 in Auckland, where it is still June 5 in UTC: minutes from the tests' present."""


def test_a_date_means_a_day_in_the_clinics_zone(world: World) -> None:
    clinic = factories.make_clinic(world.run, time_zone="Pacific/Auckland")
    doctor = factories.make_doctor(world.run, clinic, weekly_hours=[])
    world.appointment(minutes=JUNE_6_IN_AUCKLAND, doctor=doctor, clinic=clinic)
    for path in ("/slots", "/appointments"):
        for days, found in (
            ({"from": "2030-06-06"}, 1),
            ({"to": "2030-06-06"}, 1),
            ({"from": "2030-06-06", "to": "2030-06-06"}, 1),
            ({"from": "2030-06-07"}, 0),
            ({"to": "2030-06-05"}, 0),
            ({"from": "2030-06-05", "to": "2030-06-05"}, 0),
            ({"from": "2030-06-06T00:00:00+12:00", "to": "2030-06-06"}, 1),
            ({"from": "2030-06-06", "to": "2030-06-05T21:00:00Z"}, 0),
        ):
            answer = world.admin.client.get(path, params={**days, "doctor_id": doctor.id})
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == found, (path, days)


def test_a_day_has_23_or_25_hours_when_clocks_change() -> None:
    zone = ZoneInfo("America/New_York")
    for day, hours in ((date(2030, 3, 10), 23), (date(2030, 11, 3), 25), (date(2030, 6, 1), 24)):
        assert end_moment(day, zone) - first_moment(day, zone) == timedelta(hours=hours)


def test_a_range_of_days_holds_each_day_of_each_zone() -> None:
    day = date(2030, 6, 3)
    times = TimeRange(start=day, end=day)
    assert times.since is not None
    assert times.until is not None
    for zone in map(ZoneInfo, ("Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu", "UTC")):
        assert times.since <= first_moment(day, zone) < end_moment(day, zone) <= times.until
