"""What can go wrong with clinics, departments, doctors and patients."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from backend.core.http.errors import Conflict, ErrorBody, Forbidden, NotFound, Unprocessable


class ClinicNotFound(NotFound):
    """No such clinic, or not for the caller."""

    code = "CLINIC_NOT_FOUND"
    detail = "There is no such clinic, or not for you."


class ClosureNotFound(NotFound):
    """No such closure of this clinic."""

    code = "CLOSURE_NOT_FOUND"
    detail = "This clinic has no such closure."


class DepartmentNotFound(NotFound):
    """No such department, or not for the caller."""

    code = "DEPARTMENT_NOT_FOUND"
    detail = "There is no such department, or not for you."


class DoctorNotFound(NotFound):
    """No such doctor, or not for the caller."""

    code = "DOCTOR_NOT_FOUND"
    detail = "There is no such doctor, or not for you."


class PatientNotFound(NotFound):
    """No such patient, or not for the caller."""

    code = "PATIENT_NOT_FOUND"
    detail = "There is no such patient, or not for you."


class ClinicTaken(Conflict):
    """Name and city make a clinic. A deactivated one keeps its name."""

    code = "CLINIC_TAKEN"
    detail = "There is a clinic of this name in this city already; it may be deactivated."


class TooManyClosures(Conflict):
    """A clinic's document holds its closures, so their number is limited."""

    code = "TOO_MANY_CLOSURES"
    detail = "This clinic has too many closures. Delete old ones first."


class DepartmentTaken(Conflict):
    """Another department has this name. A deactivated one keeps it."""

    code = "DEPARTMENT_TAKEN"
    detail = "There is a department of this name already; it may be deactivated."


class DepartmentInUse(Conflict):
    """Active doctors belong to the department."""

    code = "DEPARTMENT_IN_USE"
    detail = "Active doctors belong to this department. Move them to another one first."


class NearRequired(Unprocessable):
    """A distance without the point that it is measured from."""

    code = "NEAR_REQUIRED"
    detail = "max_distance_m needs near, the point that it is measured from."


class UnknownDepartment(Unprocessable):
    """The department that is named doesn't exist, or is not active."""

    code = "UNKNOWN_DEPARTMENT"
    detail = "There is no active department by this id."


class UnknownDoctor(Unprocessable):
    """The doctor that is named doesn't exist, or is not active."""

    code = "UNKNOWN_DOCTOR"
    detail = "There is no active doctor by this id."


class EmailRequired(Unprocessable):
    """Patients don't take away what they log in with."""

    code = "EMAIL_REQUIRED"
    detail = "You can change your e-mail address, but not remove it."


class FieldNotAllowedBody(ErrorBody):
    """Which fields of the request may not be changed by the caller."""

    fields: list[str] = Field(default=[], examples=[["notes"]])


class FieldNotAllowed(Forbidden):
    """The caller may change this, but not all the fields sent. None of them was changed."""

    code = "FIELD_NOT_ALLOWED"
    detail = "Your role may not change these fields."
    body = FieldNotAllowedBody

    def __init__(self, fields: Iterable[str] = ()) -> None:
        self.fields = sorted(fields)
        super().__init__(f"Your role may not change: {', '.join(self.fields)}.")

    def content(self) -> dict[str, Any]:
        return {**super().content(), "fields": self.fields}

    @classmethod
    def example(cls) -> dict[str, Any]:
        return {**super().example(), "fields": ["notes"]}
