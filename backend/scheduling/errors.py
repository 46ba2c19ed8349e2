"""Errors of working hours, leave, closures and slots."""

from backend.core.http.errors import Conflict, Forbidden, NotFound, Unprocessable


class LeaveNotFound(NotFound):
    """The doctor has no such leave."""

    code = "LEAVE_NOT_FOUND"
    detail = "This doctor has no such leave."


class SlotNotFound(NotFound):
    """No such slot, or the caller has no access to it."""

    code = "SLOT_NOT_FOUND"
    detail = "No such slot, or you don't have access."


class NotTheDoctorsClinic(Unprocessable):
    """Hours or a slot at a clinic where the doctor doesn't work."""

    code = "NOT_THE_DOCTORS_CLINIC"
    detail = "The doctor doesn't work at this clinic."


class OtherClinicHours(Forbidden):
    """A nurse's change of hours at a clinic where they don't work."""

    code = "OTHER_CLINIC_HOURS"
    detail = "You can set the doctor's hours at your own clinics. Those at other clinics must stay as they are."


class HoursOverlap(Conflict):
    """Hours that overlap the doctor's hours at a clinic where the caller can't change them."""

    code = "HOURS_OVERLAP"
    detail = "The doctor works at another clinic at this time."


class WeekTooFull(Unprocessable):
    """Hours with more slots or seats a week than are allowed."""

    code = "WEEK_TOO_FULL"
    detail = "A doctor's week can't have more than 1,000 slots or 5,000 seats."


class OutsideOpeningHours(Unprocessable):
    """Hours or a slot outside the clinic's opening hours."""

    code = "OUTSIDE_OPENING_HOURS"
    detail = "The clinic is not open for the whole of this time."


class StartNotAligned(Unprocessable):
    """A start that is not a whole multiple of five minutes."""

    code = "START_NOT_ALIGNED"
    detail = "A slot must start on a whole multiple of five minutes."


class InThePast(Unprocessable):
    """A leave or a closure that is over, or a slot that has started."""

    code = "IN_THE_PAST"
    detail = "This time has already started, or is over."


class BeyondHorizon(Unprocessable):
    """Time after the clinic's booking horizon."""

    code = "BEYOND_HORIZON"
    detail = "This time is after the clinic's booking horizon."


class TimeNotAvailable(Conflict):
    """A slot during leave or a closure, or of an inactive doctor or clinic."""

    code = "TIME_NOT_AVAILABLE"
    detail = "The doctor is on leave or the clinic is closed at this time, or one of them is inactive."


class SlotOverlaps(Conflict):
    """Another slot holds the doctor's time."""

    code = "SLOT_OVERLAPS"
    detail = "The doctor already has a slot at this time."


class TooManySlots(Unprocessable):
    """A range with more slots than one request may add."""

    code = "TOO_MANY_SLOTS"
    detail = "This would add more than 5,000 slots. Choose a shorter range."


class ScheduleBusy(Conflict):
    """The doctor's hours, leave or clinics changed again and again while their slots were updated."""

    code = "SCHEDULE_BUSY"
    detail = "Others are changing this doctor's hours at this moment. Try again."
