"""What can go wrong with hours, leave, closures and slots."""

from backend.core.http.errors import Conflict, Forbidden, NotFound, Unprocessable


class LeaveNotFound(NotFound):
    """No such leave of this doctor."""

    code = "LEAVE_NOT_FOUND"
    detail = "This doctor has no such leave."


class SlotNotFound(NotFound):
    """No such slot, or not for the caller."""

    code = "SLOT_NOT_FOUND"
    detail = "There is no such slot, or not for you."


class NotTheDoctorsClinic(Unprocessable):
    """Hours or a slot at a clinic where the doctor doesn't work."""

    code = "NOT_THE_DOCTORS_CLINIC"
    detail = "The doctor doesn't work at this clinic."


class OtherClinicHours(Forbidden):
    """A nurse's change of hours at a clinic where she doesn't work."""

    code = "OTHER_CLINIC_HOURS"
    detail = (
        "You can set the doctor's hours at your own clinics. Those at other clinics must stay as they are."
    )


class HoursOverlap(Conflict):
    """Hours over those that the doctor has at a clinic which the caller may not change."""

    code = "HOURS_OVERLAP"
    detail = "In this time the doctor works at another clinic."


class WeekTooFull(Unprocessable):
    """Hours that cut into more slots or seats a week than one doctor can mean."""

    code = "WEEK_TOO_FULL"
    detail = "A doctor's week can't have more than 1,000 slots or 5,000 seats."


class OutsideOpeningHours(Unprocessable):
    """Hours or a slot that the clinic's opening hours don't hold."""

    code = "OUTSIDE_OPENING_HOURS"
    detail = "The clinic is not open for the whole of this time."


class StartNotAligned(Unprocessable):
    """A start that is not a whole multiple of five minutes."""

    code = "START_NOT_ALIGNED"
    detail = "A slot must start on a whole multiple of five minutes."


class InThePast(Unprocessable):
    """Time that is over; for a slot, that has already begun."""

    code = "IN_THE_PAST"
    detail = "This time has already begun, or is over."


class BeyondHorizon(Unprocessable):
    """Time further ahead than the clinic's book reaches."""

    code = "BEYOND_HORIZON"
    detail = "This time is further ahead than the clinic's book reaches."


class TimeNotAvailable(Conflict):
    """A leave or a closure, an inactive doctor or an inactive clinic."""

    code = "TIME_NOT_AVAILABLE"
    detail = "The doctor is on leave, or the clinic is closed, at this time."


class SlotOverlaps(Conflict):
    """The doctor's time is held by another slot."""

    code = "SLOT_OVERLAPS"
    detail = "The doctor already has a slot in this time."


class TooManySlots(Unprocessable):
    """A range that would make more slots at once than a person can mean."""

    code = "TOO_MANY_SLOTS"
    detail = "This would make more than 5,000 slots. Ask for a shorter range."


class ScheduleBusy(Conflict):
    """The doctor's hours, leave or clinics changed again and again while slots were brought in line."""

    code = "SCHEDULE_BUSY"
    detail = "This doctor's hours are being changed by others at this moment. Try again."
