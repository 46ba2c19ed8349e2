"""The floor: what bare FastAPI takes for the least database work that each route can possibly need.

The same event loop, parser, driver and options as ours; no login, no rules, no metrics, no log, and nothing of an
answer is checked. It reads and writes the collections of the real application, under their indexes.
`python -m benchmarks.floor --port 8001`, with MONGODB_URL and DATABASE_NAME set.
"""

import argparse
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from bson import ObjectId
from fastapi import FastAPI, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pymongo import AsyncMongoClient

OFFERED = {"is_active": True, "is_online": True, "known_full": False, "state": "open"}
"""With all fields of the index, so that the read needs no sorting."""
SLOT = dict.fromkeys(
    [
        "doctor_id",
        "doctor_name",
        "specialty",
        "department_id",
        "clinic_id",
        "clinic_name",
        "city",
        "time_zone",
        "start",
        "end",
        "capacity",
        "online_from",
    ],
    1,
)
ROW = dict.fromkeys(
    [
        "patient_id",
        "patient_name",
        "doctor_id",
        "doctor_name",
        "specialty",
        "clinic_id",
        "clinic_name",
        "time_zone",
        "seats.slot",
        "start",
        "end",
        "status",
        "reason",
        "version",
    ],
    1,
)
BY_START = {"start": 1, "_id": 1}

database: Any = None


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """One client, with the options of `backend.core.mongo.client`."""
    global database  # noqa: PLW0603
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        os.environ["MONGODB_URL"],
        tz_aware=True,
        connectTimeoutMS=3000,
        timeoutMS=20_000,
        w="majority",
        journal=True,
    )
    database = client[os.environ["DATABASE_NAME"]]
    await client.admin.command("ping")
    gc.collect()
    gc.freeze()
    yield
    await client.close()


app = FastAPI(lifespan=lifespan)


class BookingIn(BaseModel):
    """What is asked for."""

    slot_id: str
    patient_id: str
    reason: str | None = None


@app.post("/appointments", status_code=201)
async def book(body: BookingIn) -> JSONResponse:
    """Two finds by id and one insert: of the same document as ours, into the same collection."""
    patient = await database.patients.find_one({"_id": ObjectId(body.patient_id)})
    slot = await database.slots.find_one({"_id": ObjectId(body.slot_id)})
    now, who, start = datetime.now(UTC), patient["_id"], slot["start"]
    step = {"transition": "book", "status": "scheduled", "at": now, "by": who, "by_name": patient["name"]}
    pending_messages = {
        "kind": "booked",
        "to": "patient",
        "occurrence": 0,
        "reschedule_count": 0,
        "pending_since": now,
        "requests_confirmation": False,
    }
    document = {
        "patient_id": who,
        "patient_name": patient["name"],
        "doctor_id": slot["doctor_id"],
        "doctor_name": slot["doctor_name"],
        "specialty": slot["specialty"],
        "clinic_id": slot["clinic_id"],
        "clinic_name": slot["clinic_name"],
        "time_zone": slot["time_zone"],
        "seats": [{"slot": slot["_id"], "seat": 0, "reserved": 0}],
        "start": start,
        "end": slot["end"],
        "clinic_day": slot["day"],
        "ticks": slot["ticks"],
        "status": "scheduled",
        "active": True,
        "history": [{**step, "by_role": "patient", "start": start}],
        "pending_messages": [pending_messages],
        "remind_at": now,
        "reminded_until": now,
        "reminders": 0,
        "reschedule_count": 0,
        "version": 1,
        "created_by": who,
        "created_at": now,
        "updated_at": now,
    }
    if body.reason is not None:
        document["reason"] = body.reason
    done = await database.appointments.insert_one(document)
    shown = {
        "id": str(done.inserted_id),
        "slot_id": body.slot_id,
        "slot_ids": [body.slot_id],
        "start": start.isoformat(),
        "status": "scheduled",
    }
    return JSONResponse(shown, status_code=201)


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    kind = type(value)
    return value.isoformat() if kind is datetime else str(value) if kind is ObjectId else value


async def read(name: str, query: dict[str, Any], fields: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """One indexed read."""
    rows = await database[name].find(query, fields).sort(BY_START).limit(limit).to_list()
    return [{"id" if name == "_id" else name: plain(value) for name, value in row.items()} for row in rows]


def page(items: list[dict[str, Any]]) -> JSONResponse:
    """The answer."""
    return JSONResponse({"items": items, "next_cursor": None})


Since = Annotated[datetime, Query(alias="from")]
Until = Annotated[datetime, Query(alias="to")]


@app.get("/doctors/{doctor_id}/slots")
async def slots_of_a_day(doctor_id: str, since: Since, until: Until, limit: int = 20) -> JSONResponse:
    """A doctor's slots in a range of time, whether somebody sits in them or not."""
    rows = await read("slots", slots_query(doctor_id, since, until), SLOT, limit)
    return page([{"department_id": None, **row, "free": row["capacity"]} for row in rows])


@app.get("/patients/{patient_id}/appointments")
async def list_of_patient(patient_id: str, limit: int = 20) -> JSONResponse:
    """A patient's appointments."""
    rows = await read("appointments", {"patient_id": ObjectId(patient_id)}, ROW, limit)
    slots = [[str(seat["slot"]) for seat in row.pop("seats")] for row in rows]
    empty = dict.fromkeys(
        ("reason", "visit_type_id", "visit_type_name", "needs_decision", "overbook_why", "allowed_actions")
    )
    return page(
        [
            {**empty, "overbooked": False, "slot_id": ids[0], "slot_ids": ids, **row}
            for row, ids in zip(rows, slots, strict=True)
        ]
    )


@app.get("/ready")
async def ready() -> JSONResponse:
    """Says that the server has started."""
    return JSONResponse({})


def slots_query(doctor_id: str, since: datetime, until: datetime) -> dict[str, Any]:
    """What is asked of the collection of slots."""
    return {"doctor_id": ObjectId(doctor_id), **OFFERED, "start": {"$gte": since, "$lt": until}}


def main() -> None:
    """Serves, with the settings of `backend.serving`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    uvicorn.run(
        "benchmarks.floor:app",
        host="127.0.0.1",
        port=given.port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
    )


if __name__ == "__main__":
    main()
