"""How to make each request of the table of roles valid: ids of things that belong to the caller, and bodies."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from backend.accounts.documents import OneTimeCode, Purpose, Role
from backend.accounts.login import codes, sessions
from backend.messaging.documents import CallListEntry, CallReason, SmsDirection, SmsKind, SmsLog, SmsStatus
from tests import factories
from tests.contract.world import DAY, NOW, Call, World, call
from tests.factories import PASSWORD, Person

Recipe = Callable[[World], Call]

NEXT_WEEK = {"start": (NOW + 7 * DAY).isoformat(), "end": (NOW + 8 * DAY).isoformat()}
A_DAY = {"first_day": "2030-06-20", "last_day": "2030-06-20", "start": "09:00", "end": "10:00"}


def plain(world: World) -> Call:
    """Nothing to say."""
    return call()


def person_fields(world: World) -> dict[str, Any]:
    """What every new account needs, different each time."""
    number = world.number
    return {"name": "Ada Lovelace", "email": f"ada{number}@example.org", "phone": f"+1555020{number:04}"}


def registration(world: World) -> Call:
    return call({**person_fields(world), "password": PASSWORD})


def login(world: World) -> Call:
    return call({"email": world.patient.user.email, "password": PASSWORD})


def refreshing(world: World) -> Call:
    pair = world.run(sessions.open_session(world.patient.user))
    return call({"refresh_token": pair.refresh_token})


def forgetful(world: World) -> Call:
    return call({"login": world.new_patient().user.email})


def _code(world: World, person: Person, purpose: Purpose) -> str:
    """A new code, whatever the person was sent before."""

    async def issue_anew() -> str:
        await OneTimeCode.get_pymongo_collection().delete_one({"_id": f"{purpose}:{person.account_id}"})
        issued = await codes.issue(person.user, purpose)
        assert issued
        return issued.code

    return str(world.run(issue_anew()))


def new_password_by_code(world: World) -> Call:
    patient = world.new_patient()
    code = _code(world, patient, Purpose.RESET_PASSWORD)
    return call({"login": patient.user.email, "code": code, "new_password": "staple in the stable"})


def my_phones_code(world: World) -> Call:
    if world.caller is None:
        return call({"code": "000000"})
    return call({"code": _code(world, world.caller, Purpose.VERIFY_PHONE)})


def own_language(world: World) -> Call:
    return call({"language": "es"})


def own_password(world: World) -> Call:
    return call({"current_password": PASSWORD, "new_password": "staple in the stable"})


def new_nurse(world: World) -> Call:
    return call({**person_fields(world), "role": "nurse", "password": PASSWORD})


def a_user(world: World) -> Call:
    return call(user_id=factories.make_nurse(world.run, world.clinic).id)


def a_user_renamed(world: World) -> Call:
    return call({"name": "Florence N."}, user_id=world.nurse.id)


def the_clinic(world: World) -> Call:
    return call(clinic_id=world.clinic.clinic_id)


def new_clinic(world: World) -> Call:
    return call({"name": f"New {world.number}", "city": "Boston", "time_zone": "America/New_York"})


def clinic_address(world: World) -> Call:
    return call({"address": "1 Main Street"}, clinic_id=world.clinic.clinic_id)


def an_idle_clinic(world: World) -> Call:
    return call(clinic_id=factories.make_clinic(world.run).clinic_id)


def closing(world: World) -> Call:
    return call(NEXT_WEEK, clinic_id=world.clinic.clinic_id)


def a_closure(world: World) -> Call:
    return call(clinic_id=world.clinic.clinic_id, closure_id=world.closure())


def a_department(world: World) -> Call:
    return call(department_id=world.department().department_id)


def new_department(world: World) -> Call:
    return call({"name": f"New {world.number}"})


def department_text(world: World) -> Call:
    return call({"description": "Heart and vessels."}, department_id=world.department().department_id)


def new_visit_type(world: World) -> Call:
    body = {"names": {"en": f"New {world.number}"}, "minutes": 40}
    return call(body, clinic_id=world.clinic.clinic_id)


def a_visit_type(world: World) -> Call:
    return call(visit_type_id=world.visit_type())


def visit_type_minutes(world: World) -> Call:
    return call({"minutes": 45}, visit_type_id=world.visit_type())


def my_doctor(world: World) -> Call:
    return call(doctor_id=world.doctor.id)


def new_doctor(world: World) -> Call:
    profile = {
        "specialty": "Cardiology",
        "license_number": f"NEW-{world.number}",
        "clinic_ids": [str(world.clinic.clinic_id)],
        "slot_minutes": 480,
    }
    return call({**person_fields(world), **profile, "password": PASSWORD})


def doctor_years(world: World) -> Call:
    return call({"experience_years": 11}, doctor_id=world.doctor.id)


def an_idle_doctor(world: World) -> Call:
    return call(doctor_id=factories.make_doctor(world.run, world.clinic, weekly_hours=[]).id)


def new_patient(world: World) -> Call:
    return call({"name": "Charles Babbage"})


def new_dependant(world: World) -> Call:
    return call({"name": "Byron Babbage", "date_of_birth": "2016-05-12", "relation": "parent"})


def new_link(world: World) -> Call:
    parent = world.new_patient()
    return call({"user_id": parent.account_id, "relation": "parent"}, patient_id=world.new_patient().id)


def a_link(world: World) -> Call:
    wanted = new_link(world)
    path = f"/patients/{wanted.ids['patient_id']}/links"
    made = world.admin.client.post(path, json=wanted.json)
    return call(patient_id=wanted.ids["patient_id"], link_id=made.json()["id"])


def an_invitation(world: World) -> Call:
    return call({}, patient_id=world.new_patient().id)


def my_invitation(world: World) -> Call:
    record = world.admin.client.post("/patients", json={"name": f"Walk-in {world.number}"}).json()
    made = world.admin.client.post(f"/patients/{record['id']}/invitations", json={"relation": "carer"})
    return call({"code": made.json()["code"]})


def my_record_at_the_clinic(world: World) -> Call:
    if world.caller is None:
        return call({"code": "000000", "date_of_birth": "1951-12-26"})
    record = {"name": "Walk-in", "phone": world.caller.user.phone, "date_of_birth": "1951-12-26", "confirm_new": True}
    world.admin.client.post("/patients", json=record)
    code = _code(world, world.caller, Purpose.JOIN_RECORD)
    return call({"code": code, "date_of_birth": "1951-12-26", "relation": "carer"})


def my_record(world: World) -> Call:
    return call(patient_id=world.my_patient.id)


def my_address(world: World) -> Call:
    return call({"address": "1 Dorset Street"}, patient_id=world.my_patient.id)


def a_patient(world: World) -> Call:
    return call(patient_id=world.new_patient().id)


def two_records(world: World) -> Call:
    other = world.admin.client.post("/patients", json={"name": f"Walk-in {world.number}"}).json()
    return call({"other_id": other["id"]}, patient_id=world.new_patient().id)


def a_merge(world: World) -> Call:
    wanted = two_records(world)
    world.admin.client.post(f"/patients/{wanted.ids['patient_id']}/merge", json=wanted.json)
    return wanted


def my_week(world: World) -> Call:
    block = {"weekday": "monday", "start": "09:00", "end": "10:00"}
    hours = [{**block, "clinic_id": str(world.clinic.clinic_id)}]
    return call({"hours": hours}, doctor_id=world.doctor.id)


def my_leave(world: World) -> Call:
    return call(NEXT_WEEK, doctor_id=world.doctor.id)


def my_leave_over(world: World) -> Call:
    return call(doctor_id=world.doctor.id, leave_id=world.leave())


def my_new_slot(world: World) -> Call:
    where = {"doctor_id": world.doctor.id, "clinic_id": str(world.clinic.clinic_id)}
    return call({**where, "start": world.time().isoformat(), "minutes": 30})


def my_slots_of_a_day(world: World) -> Call:
    where = {"doctor_id": world.doctor.id, "clinic_id": str(world.clinic.clinic_id)}
    return call({**where, **A_DAY})


def my_slots_capacity(world: World) -> Call:
    return call({"capacity": 99}, slot_id=world.new_slot())


def my_slot(world: World) -> Call:
    return call(slot_id=world.new_slot())


def booking(world: World) -> Call:
    """A patient books for himself, the staff for a patient."""
    body = {"slot_id": world.slot(60), "reason": "Yearly check-up"}
    if world.caller is None or world.caller.user.role is not Role.PATIENT:
        body["patient_id"] = world.my_patient.id
    return call(body)


def my_appointment(world: World) -> Call:
    """In an hour: it can be confirmed, cancelled, and checked in."""
    return call(appointment_id=world.appointment())


def my_reason(world: World) -> Call:
    return call({"reason": "Follow-up"}, appointment_id=world.appointment())


def my_move(world: World) -> Call:
    return call({"slot_id": world.new_slot()}, appointment_id=world.appointment())


def my_visit(world: World) -> Call:
    """Under way, the patient checked in."""
    return call(appointment_id=world.appointment(minutes=-15, after=["check_in"]))


def my_undecided(world: World) -> Call:
    """Its slot was removed."""
    return call(appointment_id=world.undecided())


def a_day_to_a_substitute(world: World) -> Call:
    substitute = factories.make_doctor(world.run, world.clinic, weekly_hours=[])
    return call({"to_doctor_id": substitute.id}, doctor_id=world.doctor.id, date="2030-06-04")


def my_missed_visit(world: World) -> Call:
    """Begun, and nobody there."""
    return call(appointment_id=world.appointment(minutes=-15))


def my_no_show(world: World) -> Call:
    return call({"status": "checked_in"}, appointment_id=world.appointment(minutes=-60, after=["no_show"]))


def my_days(world: World) -> Call:
    """A doctor's numbers of a month."""
    last_day = (NOW + timedelta(days=30)).date().isoformat()
    return call(query={"from": NOW.date().isoformat(), "to": last_day}, doctor_id=world.doctor.id)


def a_reply(world: World) -> Call:
    """From a phone that nobody here has."""
    return Call(form={"MessageSid": f"SM{world.number:032}", "From": "+12125550199", "Body": "1"})


def a_report(world: World) -> Call:
    """Of a message that is not ours."""
    return Call(form={"MessageSid": f"SM{world.number:032}", "MessageStatus": "delivered"})


def a_trouble(world: World) -> Call:
    """An open entry of the staff's list about an appointment in the caller's sight."""

    async def insert() -> str:
        log = SmsLog(
            direction=SmsDirection.OUTBOUND,
            kind=SmsKind.REMINDER,
            status=SmsStatus.UNDELIVERED,
            doctor_id=world.doctor.object_id,
            clinic_id=world.clinic.clinic_id,
            call_list=CallListEntry(reason=CallReason.UNDELIVERED, since=NOW),
        )
        await log.insert()
        return str(log.id)

    return call(entry_id=world.run(insert()))
