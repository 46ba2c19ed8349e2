"""Errors of visit types. Those of their rules are raised by bookings, and lie in `appointments/errors.py`."""

from backend.core.http.errors import Conflict, NotFound


class VisitTypeNotFound(NotFound):
    """There is no such visit type, or the caller has no access to it."""

    code = "VISIT_TYPE_NOT_FOUND"
    detail = "No such visit type, or you don't have access."


class VisitTypeTaken(Conflict):
    """Another visit type of the clinic has this name in one of its languages. A deactivated one keeps its name."""

    code = "VISIT_TYPE_TAKEN"
    detail = "Another visit type of this clinic, maybe a deactivated one, has this name."
