"""Every error that a route can raise, as its source says, stands in its description; and no other."""

from functools import cache

from backend.accounts import errors as accounts
from backend.app import app
from backend.appointments.errors import AppointmentChanged
from backend.appointments.lifecycle import DecisionNeeded, NoticeTooShort, TooEarly, TransitionForbidden
from backend.core.http.errors import (
    BadRequest,
    DatabaseUnavailable,
    DomainError,
    EditConflict,
    Forbidden,
    Malformed,
    TooLarge,
    Unauthorized,
)
from backend.core.http.pagination import BadCursor
from backend.directory import errors as directory
from backend.directory.visit_types.errors import VisitTypeNotFound, VisitTypeTaken
from backend.patients.errors import PatientNotFound
from tests.contract.document import OPERATIONS
from tests.contract.raising import raised_by_routes

CENTRAL = {error.code for error in (BadRequest, TooLarge, Unauthorized, Forbidden, Malformed, DatabaseUnavailable)}
"""What `backend.openapi` adds to all routes of a kind."""

CANNOT_COME: list[tuple[type[DomainError], str, set[str]]] = [
    # What the source seems to raise on a route, why it can't come there, and where.
    (
        accounts.UserNotFound,
        "the user was read a moment before, and users are never deleted",
        {"update_own_account", "update_doctor", "deactivate_doctor"},
    ),
    (
        accounts.LicenseTaken,
        "only doctors have a licence",
        {"register", "create_user", "update_user", "update_own_account"},
    ),
    (
        accounts.DoctorNeedsProfile,
        "the patient is no doctor, and the doctor has a profile",
        {"register", "create_doctor"},
    ),
    (accounts.UnknownClinic, "a patient has no clinics", {"register"}),
    (accounts.LastAdmin, "a doctor is no administrator", {"deactivate_doctor"}),
    (accounts.InvalidCredentials, "nobody can have ended an account this young", {"register"}),
    (directory.ClinicTaken, "the name stays", {"deactivate_clinic"}),
    (EditConflict, "the name stays", {"deactivate_clinic"}),
    (directory.DepartmentTaken, "the name stays", {"deactivate_department"}),
    (VisitTypeTaken, "the names stay", {"deactivate_visit_type"}),
    (PatientNotFound, "records are never deleted", {"join_record", "redeem_invitation"}),
    (VisitTypeNotFound, "visit types are never deleted", {"reschedule_appointment", "get_appointment_by_id"}),
    (
        NoticeTooShort,
        "these need no notice",
        {
            *("confirm_appointment", "check_in_appointment", "complete_appointment"),
            *("mark_no_show", "correct_no_show", "undo_check_in", "mark_left", "keep_appointment"),
            "deactivate_patient",
        },
    ),
    (directory.ClinicNotFound, "a visit type's clinic is never deleted", {"update_visit_type"}),
    (directory.DoctorNotFound, "an appointment's doctor is never deleted", {"reschedule_appointment"}),
    (BadCursor, "the alternatives are a first page", {"book_appointment", "reschedule_appointment"}),
    (AppointmentChanged, "whoever holds the key is found, and is the answer", {"book_appointment"}),
    (
        AppointmentChanged,
        "no version is asked for",
        {"get_appointment_by_id", "get_appointment_calendar", "list_appointment_messages"},
    ),
    (
        directory.ClinicNotFound,
        "an appointment's clinic is never deleted",
        {
            "deactivate_patient",
            *("cancel_appointment", "check_in_appointment", "complete_appointment", "confirm_appointment"),
            *("correct_no_show", "mark_no_show", "reschedule_appointment", "receive_sms"),
            *("undo_check_in", "mark_left", "keep_appointment", "get_appointment_by_id", "update_appointment"),
            "get_appointment_calendar",
        },
    ),
    (
        TransitionForbidden,
        "a reply is its patient's, and the front desk may cancel",
        {"receive_sms", "deactivate_patient"},
    ),
    (DecisionNeeded, "only jobs have to wait for a decision", {"receive_sms", "deactivate_patient"}),
    (TooEarly, "cancelling is never too early", {"deactivate_patient"}),
]


def _excused(operation_id: str) -> set[str]:
    return {error.code for error, _, operations in CANNOT_COME if operation_id in operations}


@cache
def _raised() -> dict[str, set[str]]:
    """Returns the codes of the errors that each operation's source can raise."""
    return {
        operation_id: {error.code for error in errors}
        for operation_id, errors in raised_by_routes(app).items()
        if operation_id in OPERATIONS
    }


def test_every_error_that_a_route_can_raise_stands_in_its_description() -> None:
    missing = {
        operation_id: sorted(codes - OPERATIONS[operation_id].all_codes - _excused(operation_id))
        for operation_id, codes in _raised().items()
    }
    assert {operation_id: codes for operation_id, codes in missing.items() if codes} == {}


def test_no_route_describes_an_error_that_it_never_raises() -> None:
    invented = {
        operation_id: sorted(OPERATIONS[operation_id].all_codes - codes - CENTRAL)
        for operation_id, codes in _raised().items()
    }
    assert {operation_id: codes for operation_id, codes in invented.items() if codes} == {}


def test_every_excuse_is_needed() -> None:
    for error, why, operations in CANNOT_COME:
        for operation_id in operations:
            needed = error.code in _raised()[operation_id] - OPERATIONS[operation_id].all_codes
            assert needed, f"{operation_id} needs no excuse for {error.code}: {why}"
