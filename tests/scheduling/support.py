"""What the tests of scheduling share: hours, slots as the public sees them, and requests in the domain's words."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from beanie import PydanticObjectId
from pymongo.database import Database

from backend.accounts.profiles import WEEK, HoursBlock, Weekday
from backend.directory.documents import Clinic
from backend.scheduling.slots.slot_sync import SyncResult, reconcile
from tests.factories import Person, Run

Db = Database[dict[str, Any]]

NOW = datetime(2030, 6, 3, 10, tzinfo=UTC)
"""A Monday, 6:00 in New York (UTC-4). It lies ahead: what lives for a time is not swept away during a test."""

MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NOBODY = "6b01a5e15cfa6f855f45c9b2"
"""An unknown id."""

NOBODY_MET = {"appointments": [], "appointments_elsewhere": 0}
"""The rest of a report without appointments."""

MORNING = ["09:00", "09:30", "10:00", "10:30"]
"""The slots of the usual doctor on each day."""


def at(wall_time: str, *, days: int = 0, zone: str = "America/New_York") -> datetime:
    """A wall-clock time, on Monday or so many days later, as UTC."""
    day = NOW.date() + timedelta(days=days)
    return datetime.fromisoformat(f"{day}T{wall_time}").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def text(moment: datetime) -> str:
    """As JSON has it."""
    return moment.isoformat().replace("+00:00", "Z")


def every_day(clinic: Clinic, start: str, end: str, **over: Any) -> list[HoursBlock]:
    """The same hours on each weekday, half-hour slots for one patient by default."""
    return hours(clinic, start, end, *WEEK, **over)


def hours(clinic: Clinic, start: str, end: str, *weekdays: Weekday, **over: Any) -> list[HoursBlock]:
    """Hours on some weekdays."""
    return [
        HoursBlock(
            **{
                "clinic_id": clinic.clinic_id,
                "weekday": day,
                "start": start,
                "end": end,
                "slot_minutes": 30,
                **over,
            }
        )
        for day in weekdays
    ]


def as_json(blocks: Iterable[HoursBlock]) -> dict[str, Any]:
    """The body that sets these hours."""
    return {"hours": [block.model_dump(mode="json") for block in blocks]}


def opened(run: Run[Any], *doctors: Person) -> None:
    """Opens the slots of these doctors."""
    for doctor in doctors:
        run(reconcile(doctor.object_id))


def reconciled(run: Run[Any], doctor: Person) -> tuple[int, int]:
    """Reconciles and returns how many slots that opened and withdrew."""
    outcome: SyncResult = run(reconcile(doctor.object_id))
    return outcome.opened, outcome.withdrawn


def search(client: httpx.Client, **wanted: Any) -> list[dict[str, Any]]:
    """All open slots that the public finds."""
    params = {"limit": 100, **{name.rstrip("_"): value for name, value in wanted.items()}}
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get("/slots", params=params)
        assert answer.status_code == 200, answer.text
        found += answer.json()["items"]
        if answer.json()["next_cursor"] is None:
            return found
        params["cursor"] = answer.json()["next_cursor"]


def on_the_wall(moment: str, zone: str = "America/New_York") -> str:
    """A moment of a response as the clinic's clock shows it, `HH:MM`."""
    return f"{datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)):%H:%M}"


def offered(client: httpx.Client, doctor: Person, *, days: int = 0, zone: str = "America/New_York") -> list[str]:
    """The wall-clock starts of the doctor's open slots on Monday, or so many days later."""
    found = search(
        client,
        doctor_id=doctor.id,
        from_=text(at("00:00", days=days, zone=zone)),
        to=text(at("00:00", days=days + 1, zone=zone)),
    )
    return [on_the_wall(slot["start"], zone) for slot in found]


def slot_at(client: httpx.Client, doctor: Person, wall_time: str, *, days: int = 0) -> dict[str, Any]:
    """The doctor's open slot that starts at this time."""
    start = text(at(wall_time, days=days))
    found = [slot for slot in search(client, doctor_id=doctor.id) if slot["start"] == start]
    assert len(found) == 1, f"{len(found)} open slots at {start}"
    return found[0]


def try_booking(person: Person, slot: dict[str, Any], **body: Any) -> httpx.Response:
    """Tries to book a slot."""
    return person.client.post("/appointments", json={"slot_id": slot["id"], **body})


def book(person: Person, slot: dict[str, Any], **body: Any) -> dict[str, Any]:
    """Books a slot, which must succeed."""
    return done(try_booking(person, slot, **body), 201)


def done(answer: httpx.Response, status: int = 200) -> Any:
    """Returns the body of a response that must be a success."""
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Returns the body of a response that must be this error."""
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body.get("error_code")) == (status, code), answer.text
    return body


def listed(report: dict[str, Any]) -> list[str]:
    """The ids of the appointments in a report, in its order."""
    return [row["appointment_id"] for row in report["appointments"]]


def status_of(person: Person, appointment: dict[str, Any]) -> str:
    """Returns an appointment's status as its patient sees it."""
    found: str = done(person.client.get(f"/appointments/{appointment['id']}"))["status"]
    return found


def slots_in(db: Db, doctor: Person) -> list[dict[str, Any]]:
    """The doctor's slots as the database has them, by start."""
    rows = list(db["slots"].find({"doctor_id": doctor.object_id, "is_active": True}))
    return sorted(rows, key=lambda row: row["start"])


def count_slots(db: Db) -> int:
    """How many slots there are, withdrawn ones too. Counted: the server's own estimate is off once it was killed."""
    return db["slots"].count_documents({}, hint="_id_")


def stored_slot(db: Db, slot: dict[str, Any]) -> dict[str, Any]:
    """One slot as the database has it."""
    found = db["slots"].find_one({"_id": PydanticObjectId(slot["id"])})
    assert found is not None
    return found


def ask_for_slot(doctor: Person, clinic: Clinic, start: str, **body: Any) -> httpx.Response:
    """The doctor tries to add a slot of their own at a clinic."""
    whose = {"doctor_id": doctor.id, "clinic_id": str(clinic.clinic_id)}
    return doctor.client.post("/slots", json={**whose, "start": start, **body})


def add_slot(doctor: Person, clinic: Clinic, wall_time: str, *, days: int = 0, **body: Any) -> Any:
    """The doctor adds a slot of their own at a clinic."""
    return done(ask_for_slot(doctor, clinic, text(at(wall_time, days=days)), **body), 201)
