"""Lists are written from stored documents without models: their JSON is what the models would write."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from beanie import PydanticObjectId
from bson import ObjectId, decode, encode
from bson.codec_options import CodecOptions
from pydantic import BaseModel

from backend.appointments.documents import Status
from backend.appointments.schemas import APPOINTMENT_ROWS, AppointmentRow
from backend.core.http.json_rows import Rows
from backend.core.http.pagination import Page
from backend.scheduling.schemas import SLOT_ROWS, SlotOut
from backend.scheduling.slots.capacity import OpenSlot
from backend.scheduling.slots.search_repository import SLOT_FIELDS

START = datetime(2027, 3, 1, 14, 5, tzinfo=UTC)
TEXT = 'Zoë "Ø" \\ \u2028 </script> \x7f 北京 😀'

SLOT: dict[str, Any] = {
    "doctor_id": ObjectId(),
    "doctor_name": TEXT,
    "specialty": TEXT,
    "clinic_id": ObjectId(),
    "clinic_name": "Riverside",
    "city": "São Paulo",
    "time_zone": "America/Sao_Paulo",
    "start": START,
    "end": START + timedelta(minutes=25),
    "capacity": 3,
    "free": 2,
    "online_from": START - timedelta(days=60),
}
APPOINTMENT: dict[str, Any] = {
    "patient_id": ObjectId(),
    "patient_name": TEXT,
    "doctor_id": ObjectId(),
    "doctor_name": "Dr. O'Neill",
    "specialty": "Cardiology",
    "clinic_id": ObjectId(),
    "clinic_name": "Riverside",
    "time_zone": "UTC",
    "seats": [{"slot": ObjectId(), "seat": 0, "reserved": 0}, {"slot": ObjectId(), "seat": 3, "reserved": 3}],
    "start": START,
    "end": START + timedelta(minutes=30),
    "status": str(Status.CHECKED_IN),
    "version": 7,
}
CASES: list[tuple[Rows, type[BaseModel], dict[str, Any], dict[str, Any]]] = [
    (SLOT_ROWS, SlotOut, SLOT, {}),
    (SLOT_ROWS, SlotOut, SLOT, {"department_id": ObjectId()}),
    (SLOT_ROWS, SlotOut, SLOT, {"department_id": None}),
    (SLOT_ROWS, SlotOut, SLOT, {"start": START + timedelta(milliseconds=1), "not_shown": "anything"}),
    (SLOT_ROWS, SlotOut, SLOT, {"start": START + timedelta(milliseconds=120)}),
    (APPOINTMENT_ROWS, AppointmentRow, APPOINTMENT, {}),
    (APPOINTMENT_ROWS, AppointmentRow, APPOINTMENT, {"reason": TEXT}),
    (APPOINTMENT_ROWS, AppointmentRow, APPOINTMENT, {"reason": "", "notes": "the staff's own"}),
]


def as_stored(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the driver hands it out."""
    return dict(decode(encode({"_id": ObjectId(), **document}), CodecOptions(tz_aware=True)))


def _computed(row: dict[str, Any]) -> dict[str, Any]:
    slot_ids = [held["slot"] for held in row.get("seats", ())]
    return {"id": PydanticObjectId(row["_id"]), "slot_ids": slot_ids, "slot_id": next(iter(slot_ids), None)}


@pytest.mark.parametrize(("rows", "model", "document", "more"), CASES)
@pytest.mark.parametrize("next_cursor", [None, "abc-_"])
def test_a_page_equals_what_the_model_would_write(
    rows: Rows,
    model: type[BaseModel],
    document: dict[str, Any],
    more: dict[str, Any],
    next_cursor: str | None,
) -> None:
    stored = [as_stored({**document, **more}), as_stored(document)]
    fields = dict.fromkeys(model.model_fields)
    items = [model.model_validate({**fields, **row, **_computed(row)}) for row in stored]
    page = Page[model](items=items, next_cursor=next_cursor)  # type: ignore[valid-type]
    assert rows.page(stored, next_cursor) == page.model_dump_json().encode()


def test_no_rows_are_an_empty_page() -> None:
    assert SLOT_ROWS.page([], None) == b'{"items":[],"next_cursor":null}'


def test_a_search_reads_all_fields_that_a_slot_shows() -> None:
    assert set(SlotOut.model_fields) - {"id", "free"} <= set(SLOT_FIELDS)
    read = {name: value for name, value in as_stored(SLOT).items() if name in {"_id", *SLOT_FIELDS}}
    assert SlotOut.of(OpenSlot(read, 2)).model_dump(exclude={"id"}) == {
        "department_id": None,
        **{name: PydanticObjectId(v) if isinstance(v, ObjectId) else v for name, v in SLOT.items()},
    }


@pytest.mark.parametrize("path", ["/slots", "/doctors/671f0c0e9b1d8a0001a1b2c3/slots"])
def test_an_empty_list_is_json_like_any_other_response(api: httpx.Client, path: str) -> None:
    answer = api.get(path)
    assert answer.json() == {"items": [], "next_cursor": None}
    assert answer.headers["content-type"] == "application/json"
