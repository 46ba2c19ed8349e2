"""Errors of merging records."""

from backend.core.http.errors import Conflict, NotFound


class MergeWithItself(Conflict):
    """Both ids lead to the same record: they are the same, or one was merged into the other before."""

    code = "MERGE_WITH_ITSELF"
    detail = "Both ids lead to the same record."


class AlreadyMerged(Conflict):
    """The other record was merged into a third one."""

    code = "ALREADY_MERGED"
    detail = "The other record was merged into another one before."


class MergeUnderWay(Conflict):
    """One of the two records is part of a merge that isn't complete."""

    code = "MERGE_UNDER_WAY"
    detail = "One of the records is being merged at this moment. Try again in a minute."


class PatientInactive(Conflict):
    """The surviving record is inactive, or the other one says that its patient has died."""

    code = "PATIENT_INACTIVE"
    detail = "The record that survives must be active, and the other one's patient must not be recorded as deceased."


class MergeNotFound(NotFound):
    """The other record isn't merged into this one."""

    code = "MERGE_NOT_FOUND"
    detail = "The other record isn't merged into this one."


class MergedOnwards(Conflict):
    """The surviving record was merged into another one since."""

    code = "MERGED_ONWARDS"
    detail = "The surviving record was itself merged into another one. Undo that merge first."


class UndoTooLate(Conflict):
    """A merge can be undone for 30 days."""

    code = "UNDO_TOO_LATE"
    detail = "A merge can be undone for 30 days."
