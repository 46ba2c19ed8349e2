"""Errors of clinics, departments, doctors and patients."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from backend.core.http.errors import Conflict, ErrorBody, Forbidden, NotFound, Unprocessable


class ClinicNotFound(NotFound):
    """There is no such clinic, or the caller has no access to it."""

    code = "CLINIC_NOT_FOUND"
    detail = "No such clinic, or you don't have access."


class ClosureNotFound(NotFound):
    """The clinic has no such closure."""

    code = "CLOSURE_NOT_FOUND"
    detail = "This clinic has no such closure."


class DepartmentNotFound(NotFound):
    """There is no such department, or the caller has no access to it."""

    code = "DEPARTMENT_NOT_FOUND"
    detail = "No such department, or you don't have access."


class DoctorNotFound(NotFound):
    """There is no such doctor, or the caller has no access to them."""

    code = "DOCTOR_NOT_FOUND"
    detail = "No such doctor, or you don't have access."


class PatientNotFound(NotFound):
    """There is no such patient, or the caller has no access to them."""

    code = "PATIENT_NOT_FOUND"
    detail = "No such patient, or you don't have access."


class ClinicTaken(Conflict):
    """Another clinic has this name and city. A deactivated clinic keeps its name."""

    code = "CLINIC_TAKEN"
    detail = "Another clinic in this city, maybe a deactivated one, has this name."


class TooManyClosures(Conflict):
    """The clinic has as many closures as its document may hold."""

    code = "TOO_MANY_CLOSURES"
    detail = "This clinic has too many closures. Delete old ones first."


class DepartmentTaken(Conflict):
    """Another department has this name. A deactivated department keeps its name."""

    code = "DEPARTMENT_TAKEN"
    detail = "Another department, maybe a deactivated one, has this name."


class DepartmentInUse(Conflict):
    """Active doctors belong to the department."""

    code = "DEPARTMENT_IN_USE"
    detail = "Active doctors belong to this department. Move them to another one first."


class NearRequired(Unprocessable):
    """The request has `max_distance_m` without `near`."""

    code = "NEAR_REQUIRED"
    detail = "`max_distance_m` needs `near`, the point to measure from."


class UnknownDepartment(Unprocessable):
    """The department in the request doesn't exist or is not active."""

    code = "UNKNOWN_DEPARTMENT"
    detail = "This is not the id of an active department."


class UnknownDoctor(Unprocessable):
    """The doctor in the request doesn't exist or is not active."""

    code = "UNKNOWN_DOCTOR"
    detail = "This is not the id of an active doctor."


class EmailRequired(Unprocessable):
    """Patients can't remove the e-mail address that they log in with."""

    code = "EMAIL_REQUIRED"
    detail = "You can change your e-mail address, but not remove it."


class FieldNotAllowedBody(ErrorBody):
    """The fields of the request that the caller may not change."""

    fields: list[str] = Field(default=[], examples=[["notes"]])


class FieldNotAllowed(Forbidden):
    """The caller may not change some of the fields sent. None of them was changed."""

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
