"""Opening a slot against leave that was written since its inputs were read: it must stay closed."""

from typing import Any

from backend.scheduling.availability_inputs import DoctorSchedule, read_schedule
from backend.scheduling.documents import Slot, SlotState
from backend.scheduling.slots.slot_sync import open_slots, reconcile
from tests.factories import Person, Run
from tests.scheduling.support import NOW, Db, at, text


def _leave(doctor: Person, start: str, end: str) -> Any:
    answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", json={"start": text(at(start)), "end": text(at(end))})
    assert answer.status_code == 201, answer.text
    return answer.json()


def _slot_at(run: Run[Any], doctor: Person, start: str) -> Slot:
    slot: Slot | None = run(_find(doctor, start))
    assert slot is not None
    return slot


async def _find(doctor: Person, start: str) -> Slot | None:
    return await Slot.find_one({"doctor_id": doctor.object_id, "is_active": True, "start": at(start)})


def _read(run: Run[Any], doctor: Person) -> DoctorSchedule:
    book: DoctorSchedule | None = run(read_schedule(doctor.object_id, now=NOW))
    assert book is not None
    return book


def test_a_closed_booked_slot_stays_closed_under_more_leave(
    run: Run[Any], db: Db, doctor: Person, patient: Person
) -> None:
    run(reconcile(doctor.object_id))
    slot = _slot_at(run, doctor, "09:30")
    assert patient.client.post("/appointments", json={"slot_id": str(slot.id)}).status_code == 201
    _leave(doctor, "09:00", "11:00")
    # Another process reads the schedule just as the first leave has ended, and is about to open the slot again …
    db["leaves"].delete_many({"doctor_id": doctor.object_id})
    book, closed = _read(run, doctor), _slot_at(run, doctor, "09:30")
    assert closed.state is SlotState.CLOSED
    # … when a second leave is taken and answered.
    report = _leave(doctor, "09:15", "10:15")["report"]
    assert [row["start"] for row in report["appointments"]] == [text(at("09:30"))]
    run(open_slots(book, [closed]))
    assert _slot_at(run, doctor, "09:30").state is SlotState.CLOSED


def test_a_pending_slot_stays_closed_under_newer_leave(run: Run[Any], db: Db, doctor: Person) -> None:
    run(reconcile(doctor.object_id))
    slot = _slot_at(run, doctor, "10:00")
    # As another process has just written it, before opening it:
    db["slots"].update_one({"_id": slot.id}, {"$set": {"state": "pending"}})
    book, pending = _read(run, doctor), _slot_at(run, doctor, "10:00")
    _leave(doctor, "10:00", "11:00")
    run(open_slots(book, [pending]))
    assert run(_find(doctor, "10:00")) is None
    assert [row["state"] for row in db["slots"].find({"_id": slot.id})] == ["closed"]
