"""What the tests of merging share: two records of one man, and requests in the domain's words."""

from datetime import datetime
from typing import Any

import httpx

from backend.core import clock
from backend.patients.merging.undo import finish_merges
from tests.appointments.support import done
from tests.directory.support import made, read
from tests.factories import Person, Run

Row = dict[str, Any]

BORN = "1951-12-26"
CHARLES = {
    "name": "Charles Babbage",
    "phone": "+15550100300",
    "date_of_birth": BORN,
    "allergies": ["penicillin"],
    "notes": "Prefers mornings.",
}
CARL = {
    "name": "Carl Babbage",
    "phone": "+15550100301",
    "date_of_birth": BORN,
    "address": "1 Dorset Street",
    "allergies": ["Penicillin", "latex"],
    "notes": "Hard of hearing.",
}


def entered(staff: Person, record: Row) -> Row:
    """A record of the desk, whether or not there is one like it."""
    return made(staff.client, "/patients", {**record, "confirm_new": True})


def try_merging(admin: Person, survivor: Row, other: Row, *, dry_run: bool = False, **body: Any) -> httpx.Response:
    """Asks for a merge."""
    params = {"dry_run": "true"} if dry_run else {}
    wanted = {"other_id": other["id"], **body}
    return admin.client.post(f"/patients/{survivor['id']}/merge", json=wanted, params=params)


def merged(admin: Person, survivor: Row, other: Row, **body: Any) -> Row:
    """Merges two records, which must succeed."""
    return done(try_merging(admin, survivor, other, **body))


def try_undoing(admin: Person, survivor: Row, other: Row) -> httpx.Response:
    """Asks to undo a merge."""
    return admin.client.post(f"/patients/{survivor['id']}/merge/undo", json={"other_id": other["id"]})


def undone(admin: Person, survivor: Row, other: Row) -> Row:
    """Undoes a merge, which must succeed."""
    return done(try_undoing(admin, survivor, other))


def sweep(run: Run[Any], at: datetime) -> int:
    """Runs the job at a moment."""
    with clock.stopped(at):
        return int(run(finish_merges()))


def listed(person: Person, **params: str) -> list[str]:
    """The ids of the appointments in a list."""
    return [row["id"] for row in read(person.client, "/appointments", **params)["items"]]


def causes(admin: Person, visit: Row) -> list[tuple[str, str]]:
    """Why an appointment needs a decision."""
    shown = read(admin.client, f"/appointments/{visit['id']}")
    return [(each["kind"], each["id"]) for each in shown["needs_decision"] or ()]


def everything(db: Any) -> Row:
    """All that a merge may change."""
    names = ("patients", "patient_links", "patient_merges", "appointments", "sms_logs")
    return {name: list(db[name].find({}, hint="_id_", sort=[("_id", 1)])) for name in names}
