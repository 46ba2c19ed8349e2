"""What the tests of batches share."""

from typing import Any

import httpx
from pymongo.database import Database

from backend.scheduling.documents import Slot
from tests.factories import Person

Db = Database[dict[str, Any]]


def visits_in(*slots: Slot, **of_each: Any) -> list[dict[str, Any]]:
    """A visit in each slot."""
    return [{"slot_id": str(slot.id), **of_each} for slot in slots]


def try_batch(person: Person, visits: list[dict[str, Any]], *, key: str | None = None, **body: Any) -> httpx.Response:
    """Asks for several visits at once."""
    headers = {"Idempotency-Key": key} if key else {}
    return person.client.post("/appointments/batch", json={"visits": visits, **body}, headers=headers)


def traces(db: Db) -> tuple[int, int, int]:
    """How many appointments, held seats and batches there are."""
    appointments = db["appointments"]
    return (
        appointments.count_documents({"patient_id": {"$exists": True}}, hint="_id_"),
        appointments.count_documents({"active": True}, hint="_id_"),
        db["batches"].count_documents({}, hint="_id_"),
    )


NOTHING = (0, 0, 0)
