"""What can be done to a doctor's book while others book in it: ways to take a slot away, and to give it back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from bson import ObjectId

from tests.races.support import Answer, DoctorSchedule, hours_at

Client = httpx.Client
Body = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Something that an administrator does to a book. `before` is what must have been done for it to make sense."""

    name: str
    do: Callable[[Client, DoctorSchedule, Body], Answer]
    withdraws: bool = False
    before: "Change | None" = None

    def __str__(self) -> str:
        return self.name

    def prepare(self, admin: Client, book: DoctorSchedule) -> Body:
        """Does what must come before, if that is still possible; its answer's body."""
        answer = self.before.do(admin, book, {}) if self.before else None
        return dict(answer.json()) if answer is not None and answer.is_success else {}


def _take_leave(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.post(f"/doctors/{book.doctor.id}/leaves", json=book.whole_slot)


def _end_leave(admin: Client, book: DoctorSchedule, leave: Body) -> Answer:
    return admin.delete(f"/doctors/{book.doctor.id}/leaves/{leave['id']}")


def _close(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.post(f"/clinics/{book.clinic.id}/closures", json=book.whole_slot)


def _end_closure(admin: Client, book: DoctorSchedule, closure: Body) -> Answer:
    return admin.delete(f"/clinics/{book.clinic.id}/closures/{closure['id']}")


def _remove(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.delete(f"/slots/{book.slot.id}")


def _put_back(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    day = book.slot.start.date().isoformat()
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "first_day": day, "last_day": day}
    return admin.post("/slots/generate", json=body)


def _add_slot_across(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    """A slot that begins in the middle of the book's slot, once that is out of the way."""
    start = book.slot.start + timedelta(minutes=30)
    body = {"doctor_id": book.doctor.id, "clinic_id": str(book.clinic.id), "start": start.isoformat()}
    return admin.post("/slots", json={**body, "minutes": 15})


def set_hours(admin: Client, book: DoctorSchedule, capacity: int | None) -> Answer:
    """The hours that the book began with, for so many patients at once; None: no hours at all."""
    blocks = [] if capacity is None else hours_at(book.clinic, "15:00", "16:00", capacity)
    hours = [{**block.model_dump(mode="json"), "clinic_id": str(book.clinic.id)} for block in blocks]
    return admin.put(f"/doctors/{book.doctor.id}/working-hours", json={"hours": hours})


def _set_no_hours(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return set_hours(admin, book, None)


def _set_hours(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return set_hours(admin, book, book.slot.capacity)


def _change_capacity(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return set_hours(admin, book, book.slot.capacity + 1)


def _send_doctor_away(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.delete(f"/doctors/{book.doctor.id}")


def _bring_doctor_back(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.patch(f"/doctors/{book.doctor.id}", json={"is_active": True})


def _rename_doctor(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.patch(f"/doctors/{book.doctor.id}", json={"name": "Another Name"})


def _make_other_clinic(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.post("/clinics", json={"name": f"Beside {ObjectId()}", "city": "Boston", "time_zone": "UTC"})


def _transfer_doctor(admin: Client, book: DoctorSchedule, other: Body) -> Answer:
    """To another clinic: none of the slots at this one is left."""
    return admin.patch(f"/doctors/{book.doctor.id}", json={"clinic_ids": [other["id"]]})


def _shut_clinic(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.delete(f"/clinics/{book.clinic.id}")


def _bring_clinic_back(admin: Client, book: DoctorSchedule, _: Body) -> Answer:
    return admin.patch(f"/clinics/{book.clinic.id}", json={"is_active": True})


LEAVE = Change("leave", _take_leave, withdraws=True)
CLOSURE = Change("closure", _close, withdraws=True)
REMOVAL = Change("removal", _remove, withdraws=True)
NO_HOURS = Change("no hours", _set_no_hours, withdraws=True)
DOCTOR_AWAY = Change("doctor away", _send_doctor_away, withdraws=True)
CLINIC_SHUT = Change("clinic shut", _shut_clinic, withdraws=True)

END_OF_LEAVE = Change("end of leave", _end_leave, before=LEAVE)
END_OF_CLOSURE = Change("end of closure", _end_closure, before=CLOSURE)
PUT_BACK = Change("put back", _put_back, before=REMOVAL)
HOURS_BACK = Change("hours back", _set_hours, before=NO_HOURS)
DOCTOR_BACK = Change("doctor back", _bring_doctor_back, before=DOCTOR_AWAY)
CLINIC_BACK = Change("clinic back", _bring_clinic_back, before=CLINIC_SHUT)
SLOT_ACROSS = Change("slot across", _add_slot_across, before=REMOVAL)

FILLING = Change("filling", _put_back)
CAPACITY = Change("capacity", _change_capacity)
RENAMING = Change("renaming", _rename_doctor)
OTHER_CLINIC = Change("other clinic", _make_other_clinic)
TRANSFER = Change("transfer", _transfer_doctor, withdraws=True, before=OTHER_CLINIC)

UNDONE_BY = {
    REMOVAL: {PUT_BACK, FILLING, SLOT_ACROSS},
    NO_HOURS: {HOURS_BACK, CAPACITY},
    DOCTOR_AWAY: {DOCTOR_BACK},
    CLINIC_SHUT: {CLINIC_BACK},
}
"""Which changes may open again what a withdrawal has taken, when both happen at once."""

WITHDRAWALS = (LEAVE, CLOSURE, REMOVAL, NO_HOURS, DOCTOR_AWAY, CLINIC_SHUT)
RETURNS = (END_OF_LEAVE, END_OF_CLOSURE, PUT_BACK, HOURS_BACK, DOCTOR_BACK, CLINIC_BACK, SLOT_ACROSS)
OTHERS = (FILLING, CAPACITY, RENAMING, TRANSFER)
