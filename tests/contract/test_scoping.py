"""What belongs to others isn't there: 404 for each role that is scoped, and nothing is changed by asking."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from backend.accounts.documents import Role
from tests import factories
from tests.contract import recipes
from tests.contract.document import OPERATIONS, faults
from tests.contract.support import contents
from tests.contract.test_roles import ROWS
from tests.contract.world import DAY, NOTHING, NOW, Call, World, call

Theirs = Callable[[World], Call]


def their_record(world: World) -> Call:
    return call(patient_id=world.other_patient.id)


def their_address(world: World) -> Call:
    return call({"address": "1 Main Street"}, patient_id=world.other_patient.id)


def for_them(world: World) -> Call:
    return call({"slot_id": world.slot(60), "patient_id": world.other_patient.id})


def visits_for_them(world: World) -> Call:
    return call({"visits": [{"slot_id": world.slot(60)}], "patient_id": world.other_patient.id})


def their_appointment(world: World, **about: Any) -> str:
    """Another patient's, with a doctor of the same clinic for a doctor, at another clinic for a nurse."""
    assert world.caller
    if world.caller.user.role is Role.NURSE:
        about |= {"doctor": world.other_doctor, "clinic": world.elsewhere}
    if world.caller.user.role is Role.DOCTOR:
        about["doctor"] = factories.make_doctor(world.run, world.clinic, weekly_hours=[])
    return world.appointment(patient=world.other_patient, **about)


def theirs(world: World) -> Call:
    return call(appointment_id=their_appointment(world))


def their_reason(world: World) -> Call:
    return call({"reason": "None of your business"}, appointment_id=their_appointment(world))


def their_move(world: World) -> Call:
    return call({"slot_id": world.new_slot()}, appointment_id=their_appointment(world))


def their_visit(world: World) -> Call:
    return call(appointment_id=their_appointment(world, minutes=-15, after=["check_in"]))


def their_missed_visit(world: World) -> Call:
    return call(appointment_id=their_appointment(world, minutes=-15))


def their_no_show(world: World) -> Call:
    missed = their_appointment(world, minutes=-60, after=["no_show"])
    return call({"status": "checked_in"}, appointment_id=missed)


def their_doctor(world: World) -> Call:
    return call(doctor_id=world.other_doctor.id)


def their_day(world: World) -> Call:
    return call({"to_date": "2030-06-05"}, doctor_id=world.other_doctor.id, date="2030-06-04")


def our_day_to_them(world: World) -> Call:
    body = {"to_doctor_id": world.other_doctor.id}
    return call(body, doctor_id=world.doctor.id, date="2030-06-04")


def their_week(world: World) -> Call:
    return call({"hours": []}, doctor_id=world.other_doctor.id)


def their_leave(world: World) -> Call:
    return call(recipes.NEXT_WEEK, doctor_id=world.other_doctor.id)


def their_leave_over(world: World) -> Call:
    return call(doctor_id=world.other_doctor.id, leave_id=world.leave(world.other_doctor))


def their_leave_as_mine(world: World) -> Call:
    return call(doctor_id=world.doctor.id, leave_id=world.leave(world.other_doctor))


def their_new_slot(world: World) -> Call:
    where = {"doctor_id": world.other_doctor.id, "clinic_id": str(world.elsewhere.clinic_id)}
    return call({**where, "start": world.time().isoformat()})


def their_slots_of_a_day(world: World) -> Call:
    where = {"doctor_id": world.other_doctor.id, "clinic_id": str(world.elsewhere.clinic_id)}
    return call({**where, **recipes.A_DAY})


def their_slot(world: World) -> Call:
    return call(slot_id=world.new_slot(doctor=world.other_doctor, clinic=world.elsewhere))


def their_closing(world: World) -> Call:
    return call(recipes.NEXT_WEEK, clinic_id=world.elsewhere.clinic_id)


def their_closure(world: World) -> Call:
    return call(clinic_id=world.elsewhere.clinic_id, closure_id=world.closure(world.elsewhere))


def their_closure_as_ours(world: World) -> Call:
    return call(clinic_id=world.clinic.clinic_id, closure_id=world.closure(world.elsewhere))


def _shared_doctor(world: World) -> Any:
    """A doctor who works at the nurse's clinic and at the other one."""
    clinic_ids = [world.clinic.clinic_id, world.elsewhere.clinic_id]
    return factories.make_doctor(world.run, world.clinic, clinic_ids=clinic_ids, weekly_hours=[])


def their_slots_capacity(world: World) -> Call:
    return call({"capacity": 99}, slot_id=their_slot(world).ids["slot_id"])


def our_doctors_new_slot_there(world: World) -> Call:
    where = {"doctor_id": _shared_doctor(world).id, "clinic_id": str(world.elsewhere.clinic_id)}
    return call({**where, "start": world.time().isoformat()})


def our_doctors_slot_there(world: World) -> Call:
    return call(slot_id=world.new_slot(doctor=_shared_doctor(world), clinic=world.elsewhere))


_P, _D, _N = "patient", "doctor", "nurse"

# fmt: off
ROWS_OF_OTHERS: list[tuple[str, tuple[str, ...], Theirs, str]] = [
    # operation                  asked by      about what                    answer: 404 and
    ("get_patient",              (_P,),        their_record,                 "PATIENT_NOT_FOUND"),
    ("update_patient",           (_P,),        their_address,                "PATIENT_NOT_FOUND"),
    ("list_patient_appointments", (_P,),       their_record,                 "PATIENT_NOT_FOUND"),
    ("book_appointment",         (_P,),        for_them,                     "PATIENT_NOT_FOUND"),
    ("book_appointment_batch",   (_P,),        visits_for_them,              "PATIENT_NOT_FOUND"),
    ("get_appointment_by_id",    (_P, _D, _N), theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("get_appointment_calendar", (_P, _D, _N), theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("update_appointment",       (_P, _D, _N), their_reason,                 "APPOINTMENT_NOT_FOUND"),
    ("confirm_appointment",      (_P, _D, _N), theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("cancel_appointment",       (_P, _D, _N), theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("reschedule_appointment",         (_P, _D, _N), their_move,                   "APPOINTMENT_NOT_FOUND"),
    ("check_in_appointment",     (_D, _N),     theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("complete_appointment",     (_D, _N),     their_visit,                  "APPOINTMENT_NOT_FOUND"),
    ("keep_appointment",         (_D, _N),     theirs,                       "APPOINTMENT_NOT_FOUND"),
    ("undo_check_in",            (_D, _N),     their_visit,                  "APPOINTMENT_NOT_FOUND"),
    ("mark_left",                (_D, _N),     their_visit,                  "APPOINTMENT_NOT_FOUND"),
    ("mark_no_show",             (_D, _N),     their_missed_visit,           "APPOINTMENT_NOT_FOUND"),
    ("correct_no_show",          (_D, _N),     their_no_show,                "APPOINTMENT_NOT_FOUND"),
    ("transfer_doctors_day",     (_N,),        their_day,                    "DOCTOR_NOT_FOUND"),
    ("transfer_doctors_day",     (_N,),        our_day_to_them,              "DOCTOR_NOT_FOUND"),
    ("set_working_hours",             (_D, _N),     their_week,                   "DOCTOR_NOT_FOUND"),
    ("list_leaves",              (_D, _N),     their_doctor,                 "DOCTOR_NOT_FOUND"),
    ("get_leave",                (_D, _N),     their_leave_over,             "DOCTOR_NOT_FOUND"),
    ("get_leave",                (_D, _N),     their_leave_as_mine,          "LEAVE_NOT_FOUND"),
    ("take_leave",               (_D, _N),     their_leave,                  "DOCTOR_NOT_FOUND"),
    ("delete_leave",             (_D, _N),     their_leave_over,             "DOCTOR_NOT_FOUND"),
    ("delete_leave",             (_D, _N),     their_leave_as_mine,          "LEAVE_NOT_FOUND"),
    ("add_slot",                 (_D, _N),     their_new_slot,               "DOCTOR_NOT_FOUND"),
    ("add_slot",                 (_N,),        our_doctors_new_slot_there,   "DOCTOR_NOT_FOUND"),
    ("generate_slots_over_range", (_D, _N),    their_slots_of_a_day,         "DOCTOR_NOT_FOUND"),
    ("update_slot",              (_D, _N),     their_slots_capacity,         "SLOT_NOT_FOUND"),
    ("delete_slot",              (_D, _N),     their_slot,                   "SLOT_NOT_FOUND"),
    ("delete_slot",              (_N,),        our_doctors_slot_there,       "SLOT_NOT_FOUND"),
    ("get_doctor_stats",         (_D, _N),     their_doctor,                 "DOCTOR_NOT_FOUND"),
    ("close_clinic",             (_N,),        their_closing,                "CLINIC_NOT_FOUND"),
    ("delete_closure",           (_N,),        their_closure,                "CLINIC_NOT_FOUND"),
    ("delete_closure",           (_N,),        their_closure_as_ours,        "CLOSURE_NOT_FOUND"),
]
# fmt: on


def _cases() -> list[Any]:
    return [
        pytest.param((operation, role, about, code), id=f"{operation}-{about.__name__}-{role}")
        for operation, roles, about, code in ROWS_OF_OTHERS
        for role in roles
    ]


@pytest.mark.parametrize("case", _cases())
def test_what_belongs_to_others_is_not_there(
    case: tuple[str, str, Theirs, str], world: World, db: Database[dict[str, Any]]
) -> None:
    operation_id, role, about, code = case
    operation = OPERATIONS[operation_id]
    world.caller = world.person(role)
    request = about(world)
    before = contents(db)
    answer = request.send(operation, world.client())
    assert (answer.status_code, answer.json().get("error_code")) == (404, code), answer.text
    assert faults(operation, answer) == []
    assert contents(db) == before


@pytest.mark.parametrize("role", ["doctor", "nurse"])
def test_the_staff_book_only_into_their_own_book(role: str, world: World) -> None:
    world.caller = world.person(role)
    theirs = world.new_slot(doctor=world.other_doctor, clinic=world.elsewhere)
    wanted = call({"slot_id": theirs, "patient_id": world.other_patient.id})
    answer = wanted.send(OPERATIONS["book_appointment"], world.client())
    assert (answer.status_code, answer.json()["error_code"]) == (403, "OUTSIDE_YOUR_SCOPE")


def test_a_nurse_moves_nobody_into_another_clinics_book(world: World) -> None:
    world.caller = world.person("nurse")
    theirs = world.new_slot(doctor=world.other_doctor, clinic=world.elsewhere)
    wanted = call({"slot_id": theirs}, appointment_id=world.appointment())
    answer = wanted.send(OPERATIONS["reschedule_appointment"], world.client())
    assert (answer.status_code, answer.json()["error_code"]) == (403, "OUTSIDE_YOUR_SCOPE")


def test_a_nurse_corrects_no_show_to_completed_never(world: World) -> None:
    world.caller = world.person("nurse")
    missed = world.appointment(minutes=-60, after=["no_show"])
    answer = call({"status": "completed"}, appointment_id=missed).send(OPERATIONS["correct_no_show"], world.client())
    assert (answer.status_code, answer.json()["error_code"]) == (403, "TRANSITION_FORBIDDEN")


def test_a_patient_neither_reads_nor_writes_the_staffs_notes(world: World) -> None:
    appointment = call({"notes": "Prefers mornings."}, appointment_id=world.appointment(patient=world.patient))
    path = OPERATIONS["get_appointment_by_id"].url(appointment.ids).removeprefix("/api/v1")
    assert world.doctor.client.patch(path, json=appointment.json).json()["notes"] == "Prefers mornings."
    refusal = world.patient.client.patch(path, json=appointment.json)
    assert (refusal.status_code, refusal.json()["error_code"]) == (403, "NOT_ALLOWED")
    assert world.patient.client.get(path).json()["notes"] is None


def test_filters_narrow_a_list_and_never_widen_it(world: World) -> None:
    mine = world.appointment(patient=world.patient)
    there = world.appointment(doctor=world.other_doctor, clinic=world.elsewhere, patient=world.other_patient)
    seen_by = {"patient": {mine}, "doctor": {mine}, "nurse": {mine}, "admin": {mine, there}}
    for role, seen in seen_by.items():
        client = getattr(world, role).client
        assert {row["id"] for row in client.get("/appointments").json()["items"]} == seen
        for filters in (
            {"patient_id": world.other_patient.id},
            {"doctor_id": world.other_doctor.id},
            {"clinic_id": str(world.elsewhere.clinic_id)},
            {"from": (NOW - DAY).isoformat(), "doctor_id": world.other_doctor.id},
        ):
            answer = client.get("/appointments", params=filters).json()
            assert {row["id"] for row in answer["items"]} == seen & {there}


# A doctor who isn't there has no slots; the route says so.
WITH_IDS = [id for id, found in OPERATIONS.items() if "{" in found.path and id != "list_doctor_slots"]


@pytest.mark.parametrize("operation_id", WITH_IDS)
def test_an_id_that_nothing_has_is_not_found_and_no_id_is_malformed(operation_id: str, world: World) -> None:
    operation = OPERATIONS[operation_id]
    world.caller = world.person("admin")
    *_, recipe = ROWS[operation_id]
    valid = recipe(world)

    def ask(name: str, value: str) -> tuple[int, list[str]]:
        """The valid request, with one of the path's ids changed."""
        changed = Call({**valid.ids, name: value}, valid.json, valid.query)
        answer = changed.send(operation, world.client())
        return answer.status_code, faults(operation, answer)

    for name in valid.ids:
        assert ask(name, NOTHING) == (404 if name.endswith("_id") else 422, [])
        for no_id in ("x", "0" * 23, "0" * 25, "g" * 24, "null", "%00", "{}", "671f0c0e9b1d8a0001a1b2c3 "):
            assert ask(name, no_id) == (422, []), no_id
