"""Every route × every role: who may do what, and who is told why not. A new route needs a row here.

The expectations are those of the design: 401 for nobody, 403 for a role that may not do this at all, and success
for a valid request about things in the caller's own reach. What lies outside it is in `test_scoping`.
"""

import pytest

from tests.contract import recipes as r
from tests.contract.document import OPERATIONS, faults
from tests.contract.recipes import Recipe
from tests.contract.world import World

ROLES = ("nobody", "patient", "doctor", "nurse", "admin")

# fmt: off
ROWS: dict[str, tuple[int, int, int, int, int, Recipe]] = {
    # operation                 nobody patient doctor nurse admin  the valid request
    "get_health":                 (200, 200, 200, 200, 200, r.plain),
    "get_readiness":              (200, 200, 200, 200, 200, r.plain),
    "get_time":                   (200, 200, 200, 200, 200, r.plain),
    # Logging in: for everybody.
    "register":                   (201, 201, 201, 201, 201, r.registration),
    "login":                      (200, 200, 200, 200, 200, r.login),
    "refresh_tokens":             (200, 200, 200, 200, 200, r.refreshing),
    "forget_password":            (202, 202, 202, 202, 202, r.forgetful),
    "reset_password":             (204, 204, 204, 204, 204, r.new_password_by_code),
    "logout":                     (401, 204, 204, 204, 204, r.plain),
    # One's own account.
    "get_own_account":            (401, 200, 200, 200, 200, r.plain),
    "update_own_account":         (401, 200, 200, 200, 200, r.own_language),
    "change_own_password":        (401, 204, 204, 204, 204, r.own_password),
    "list_own_patients":          (401, 200, 200, 200, 200, r.plain),
    "add_dependant":              (401, 201, 201, 201, 201, r.new_dependant),
    "request_joining_code":       (401, 202, 202, 202, 202, r.plain),
    "join_record":                (401, 200, 200, 200, 200, r.my_record_at_the_clinic),
    "redeem_invitation":          (401, 200, 200, 200, 200, r.my_invitation),
    "request_phone_verification": (401, 202, 202, 202, 202, r.plain),
    "confirm_phone":              (401, 200, 200, 200, 200, r.my_phones_code),
    # Accounts: administrators.
    "list_users":                 (401, 403, 403, 403, 200, r.plain),
    "create_user":                (401, 403, 403, 403, 201, r.new_nurse),
    "get_user":                   (401, 403, 403, 403, 200, r.a_user),
    "update_user":                (401, 403, 403, 403, 200, r.a_user_renamed),
    "deactivate_user":            (401, 403, 403, 403, 204, r.a_user),
    # Clinics: seen by everybody, kept by administrators, closed for a time by the front desk.
    "list_clinics":               (200, 200, 200, 200, 200, r.plain),
    "get_clinic":                 (200, 200, 200, 200, 200, r.the_clinic),
    "list_clinic_doctors":        (200, 200, 200, 200, 200, r.the_clinic),
    "list_closures":              (200, 200, 200, 200, 200, r.the_clinic),
    "get_closure":                (200, 200, 200, 200, 200, r.a_closure),
    "create_clinic":              (401, 403, 403, 403, 201, r.new_clinic),
    "update_clinic":              (401, 403, 403, 403, 200, r.clinic_address),
    "deactivate_clinic":          (401, 403, 403, 403, 200, r.an_idle_clinic),
    "close_clinic":               (401, 403, 403, 201, 201, r.closing),
    "delete_closure":             (401, 403, 403, 200, 200, r.a_closure),
    # Departments and doctors: seen by everybody, kept by administrators.
    "list_departments":           (200, 200, 200, 200, 200, r.plain),
    "get_department":             (200, 200, 200, 200, 200, r.a_department),
    "create_department":          (401, 403, 403, 403, 201, r.new_department),
    "update_department":          (401, 403, 403, 403, 200, r.department_text),
    "deactivate_department":      (401, 403, 403, 403, 204, r.a_department),
    "list_visit_types":           (200, 200, 200, 200, 200, r.the_clinic),
    "get_visit_type":             (200, 200, 200, 200, 200, r.a_visit_type),
    "create_visit_type":          (401, 403, 403, 403, 201, r.new_visit_type),
    "update_visit_type":          (401, 403, 403, 403, 200, r.visit_type_minutes),
    "deactivate_visit_type":      (401, 403, 403, 403, 204, r.a_visit_type),
    "list_doctors":               (200, 200, 200, 200, 200, r.plain),
    "get_doctor":                 (200, 200, 200, 200, 200, r.my_doctor),
    "create_doctor":              (401, 403, 403, 403, 201, r.new_doctor),
    "update_doctor":              (401, 403, 403, 403, 200, r.doctor_years),
    "deactivate_doctor":          (401, 403, 403, 403, 200, r.an_idle_doctor),
    # Patients: the staff see all, an account those for whom it acts.
    "list_patients":              (401, 403, 200, 200, 200, r.plain),
    "create_patient":             (401, 403, 201, 201, 201, r.new_patient),
    "get_patient":                (401, 200, 200, 200, 200, r.my_record),
    "update_patient":             (401, 200, 200, 200, 200, r.my_address),
    "deactivate_patient":         (401, 403, 403, 200, 200, r.a_patient),
    "merge_patients":             (401, 403, 403, 403, 200, r.two_records),
    "undo_merge":                 (401, 403, 403, 403, 200, r.a_merge),
    "list_links":                 (401, 403, 200, 200, 200, r.a_patient),
    "grant_link":                 (401, 403, 403, 201, 201, r.new_link),
    "get_link":                   (401, 403, 200, 200, 200, r.a_link),
    "withdraw_link":              (401, 403, 403, 204, 204, r.a_link),
    "keep_link":                  (401, 403, 403, 200, 200, r.a_link),
    "invite_patient":             (401, 403, 403, 200, 200, r.an_invitation),
    "list_patient_appointments":  (401, 200, 200, 200, 200, r.my_record),
    # A doctor's time: the doctor's own, the nurses' of the clinic, the administrators'.
    "get_working_hours":               (401, 200, 200, 200, 200, r.my_doctor),
    "set_working_hours":               (401, 403, 200, 200, 200, r.my_week),
    "list_leaves":                (401, 403, 200, 200, 200, r.my_doctor),
    "get_leave":                  (401, 403, 200, 200, 200, r.my_leave_over),
    "take_leave":                 (401, 403, 201, 201, 201, r.my_leave),
    "delete_leave":               (401, 403, 200, 200, 200, r.my_leave_over),
    # Slots: found by everybody, made and taken out by the staff.
    "search_slots":               (200, 200, 200, 200, 200, r.plain),
    "list_doctor_slots":          (200, 200, 200, 200, 200, r.my_doctor),
    "get_slot_by_id":             (200, 200, 200, 200, 200, r.my_slot),
    "add_slot":                   (401, 403, 201, 201, 201, r.my_new_slot),
    "generate_slots_over_range":  (401, 403, 200, 200, 200, r.my_slots_of_a_day),
    "update_slot":                (401, 403, 200, 200, 200, r.my_slots_capacity),
    "delete_slot":                (401, 403, 200, 200, 200, r.my_slot),
    # Appointments, and the steps of their life.
    "book_appointment":           (401, 201, 201, 201, 201, r.booking),
    "list_my_appointments":       (401, 200, 200, 200, 200, r.plain),
    "get_appointment_by_id":      (401, 200, 200, 200, 200, r.my_appointment),
    "get_appointment_calendar":   (401, 200, 200, 200, 200, r.my_appointment),
    "update_appointment":         (401, 200, 200, 200, 200, r.my_reason),
    "confirm_appointment":        (401, 200, 403, 200, 200, r.my_appointment),
    "cancel_appointment":         (401, 200, 200, 200, 200, r.my_appointment),
    "reschedule_appointment":           (401, 200, 403, 200, 200, r.my_move),
    "check_in_appointment":       (401, 403, 200, 200, 200, r.my_appointment),
    "keep_appointment":           (401, 403, 200, 200, 200, r.my_undecided),
    "undo_check_in":              (401, 403, 200, 200, 200, r.my_visit),
    "mark_left":                  (401, 403, 200, 200, 200, r.my_visit),
    "complete_appointment":       (401, 403, 200, 403, 200, r.my_visit),
    "mark_no_show":               (401, 403, 200, 200, 200, r.my_missed_visit),
    "correct_no_show":            (401, 403, 200, 200, 200, r.my_no_show),
    "transfer_doctors_day":       (401, 403, 403, 200, 200, r.a_day_to_a_substitute),
    # Messages: the log is the administrators', the list of whom to call the staff's. Webhooks are signed.
    "list_sms_logs":              (401, 403, 403, 403, 200, r.plain),
    "list_appointment_messages":  (401, 403, 200, 200, 200, r.my_appointment),
    "list_calls":             (401, 403, 200, 200, 200, r.plain),
    "resolve_call":          (401, 403, 200, 200, 200, r.a_trouble),
    "receive_sms":                (200, 200, 200, 200, 200, r.a_reply),
    "receive_status":             (204, 204, 204, 204, 204, r.a_report),
    # Numbers.
    "get_doctor_stats":           (401, 403, 200, 200, 200, r.my_days),
    "get_dashboard":              (401, 403, 403, 403, 200, r.plain),
}
# fmt: on


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(ROWS) == set(OPERATIONS)


@pytest.mark.parametrize("operation_id", ROWS)
def test_each_role_gets_what_it_may(operation_id: str, world: World) -> None:
    *expected, recipe = ROWS[operation_id]
    operation = OPERATIONS[operation_id]
    got, undocumented = {}, []
    for role in ROLES:
        world.caller = world.person(role)
        answer = recipe(world).send(operation, world.client())
        got[role] = answer.status_code
        undocumented += faults(operation, answer)
    assert got == dict(zip(ROLES, expected, strict=True))
    assert undocumented == []


CREATING = [id for id, operation in OPERATIONS.items() if "201" in operation.node["responses"]]


@pytest.mark.parametrize("operation_id", CREATING)
def test_what_was_created_is_at_its_location(operation_id: str, world: World) -> None:
    operation = OPERATIONS[operation_id]
    assert "Location" in operation.node["responses"]["201"]["headers"]
    world.caller = world.person("admin")
    answer = ROWS[operation_id][-1](world).send(operation, world.client())
    assert answer.status_code == 201, answer.text
    reader = world.client()
    if operation_id == "register":  # its owner reads it
        reader.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    found = reader.get(answer.headers["Location"].removeprefix("/api/v1"))
    assert found.status_code == 200
    created = answer.json().get("user", answer.json())["id"]
    assert found.json()["id"] == created
