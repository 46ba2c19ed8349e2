"""Errors of clinics, departments, doctors and patients."""

from backend.core.http.errors import Conflict, NotFound, Unprocessable


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
