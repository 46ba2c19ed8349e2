"""An appointment as an iCalendar file (RFC 5545)."""

from backend.accounts.documents import Language
from backend.appointments.documents import Appointment, Status
from backend.core.clock import utc_now
from backend.directory.visit_types.documents import in_language

_STATUS = {Status.SCHEDULED: "TENTATIVE", Status.CANCELLED: "CANCELLED"}


def as_calendar(appointment: Appointment, language: Language, *, for_staff: bool = False) -> bytes:
    """Returns a calendar file with one event, and the instructions to the patient in this language if there are any.

    It contains no reason or notes: many people share their calendars. `for_staff` it says what is a fit-in.
    """
    from icalendar import Calendar, Event  # noqa: PLC0415 - it takes 70 ms to import, and is seldom used

    event = Event()
    event.add("uid", f"{appointment.id}@appointments")
    event.add("dtstamp", utc_now())
    event.add("sequence", appointment.version)
    event.add("dtstart", appointment.start)
    event.add("dtend", appointment.end)
    fit_in = " (fit-in)" if for_staff and appointment.overbooked else ""
    event.add("summary", f"Appointment with {appointment.doctor_name}{fit_in}")
    event.add("location", appointment.clinic_name)
    event.add("status", _STATUS.get(appointment.status, "CONFIRMED"))
    if instructions := in_language(appointment.instructions or {}, language):
        event.add("description", instructions)
    calendar = Calendar()
    calendar.add("prodid", "-//Appointment book//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    return bytes(calendar.to_ical())
