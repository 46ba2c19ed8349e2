"""What a reply may meet: each scene is a patient (or a stranger), a phone, appointments, and the moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from backend.accounts.documents import User
from backend.appointments.documents import Appointment
from tests.messaging.asked import THREE, Desk
from tests.messaging.conftest import NOON
from tests.messaging.office import DAY, HOUR, MINUTE

SOON = NOON + 5 * MINUTE


@dataclass(frozen=True)
class Scene:
    """Who writes, from where, when; and the appointments whose fate is looked at."""

    phone: str
    appointments: list[Appointment] = field(default_factory=list)
    user: User | None = None
    at: datetime = SOON


def asked(desk: Desk, *, language: str | None = "en") -> Scene:
    """Asked about three o'clock today."""
    user = desk.patient(**({"language": language} if language else {}))
    booked = desk.book(user)
    desk.ask()
    return Scene(user.phone or "", [booked], user)


def all_asked(desk: Desk, count: int) -> list[Scene]:
    """So many patients, asked about three o'clock today, all at once."""
    users = [desk.patient(language="en") for _ in range(count)]
    booked = desk.book_all(users)
    desk.ask()
    return [Scene(user.phone or "", [each], user) for user, each in zip(users, booked, strict=True)]


def asked_in_spanish(desk: Desk) -> Scene:
    """The patient has chosen Spanish."""
    return asked(desk, language="es")


def asked_at_a_spanish_clinic(desk: Desk) -> Scene:
    """The patient has chosen nothing."""
    desk.db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"language": "es"}})
    return asked(desk, language=None)


def at_a_spanish_clinic_but_english(desk: Desk) -> Scene:
    """The patient has chosen English."""
    desk.db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"language": "es"}})
    return asked(desk)


def asked_twice(desk: Desk) -> Scene:
    """Asked about three and four o'clock."""
    user = desk.patient()
    both = [desk.book(user), desk.book(user, THREE + HOUR)]
    desk.ask()
    desk.ask(NOON + HOUR)
    return Scene(user.phone or "", both, user, NOON + HOUR + MINUTE)


def asked_twice_in_spanish(desk: Desk) -> Scene:
    """The same in the other language."""
    scene = asked_twice(desk)
    assert scene.user
    desk.change(scene.user, language="es")
    return scene


def asked_and_another_ahead(desk: Desk) -> Scene:
    """Asked about three o'clock; tomorrow there is another appointment."""
    user = desk.patient()
    both = [desk.book(user), desk.book(user, THREE + DAY)]
    desk.ask()
    return Scene(user.phone or "", both, user)


def not_asked(desk: Desk) -> Scene:
    """An appointment of tomorrow, of which no question was asked yet."""
    user = desk.patient()
    return Scene(user.phone or "", [desk.book(user, THREE + DAY)], user)


def reminded_early(desk: Desk) -> Scene:
    """Reminded of tomorrow, without being asked to confirm."""
    desk.db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"policy.reminder_minutes": [1440, 180]}})
    user = desk.patient()
    booked = desk.book(user, THREE + DAY)
    desk.ask(THREE)
    return Scene(user.phone or "", [booked], user, THREE + MINUTE)


def asked_a_day_before(desk: Desk) -> Scene:
    """The only reminder comes long before the usual time to confirm."""
    desk.db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"policy.reminder_minutes": [1440]}})
    user = desk.patient()
    booked = desk.book(user, THREE + DAY)
    desk.ask(THREE)
    return Scene(user.phone or "", [booked], user, THREE + MINUTE)


def begun(desk: Desk) -> Scene:
    """Asked, and it began ten minutes ago."""
    scene = asked(desk)
    return Scene(scene.phone, scene.appointments, scene.user, THREE + 10 * MINUTE)


def begins_now(desk: Desk) -> Scene:
    """To the second."""
    scene = asked(desk)
    return Scene(scene.phone, scene.appointments, scene.user, THREE)


def nobody_came(desk: Desk) -> Scene:
    """Asked, not come, and marked so."""
    scene = asked(desk)
    desk.staff("no_show", scene.appointments[0], THREE + 20 * MINUTE)
    return Scene(scene.phone, scene.appointments, scene.user, THREE + 30 * MINUTE)


def over_and_another_ahead(desk: Desk) -> Scene:
    """Yesterday's was never marked; the next is tomorrow's."""
    scene = asked_and_another_ahead(desk)
    return Scene(scene.phone, scene.appointments, scene.user, THREE + 20 * HOUR)


def seen_by_the_doctor(desk: Desk) -> Scene:
    """The visit is over."""
    scene = asked(desk)
    desk.staff("check_in", scene.appointments[0], THREE)
    desk.staff("complete", scene.appointments[0], THREE + 20 * MINUTE)
    return Scene(scene.phone, scene.appointments, scene.user, THREE + HOUR)


def seen_and_another_ahead(desk: Desk) -> Scene:
    """The visit is over, the next one is tomorrow."""
    scene = asked_and_another_ahead(desk)
    desk.staff("check_in", scene.appointments[0], THREE)
    desk.staff("complete", scene.appointments[0], THREE + 20 * MINUTE)
    return Scene(scene.phone, scene.appointments, scene.user, THREE + HOUR)


def checked_in(desk: Desk) -> Scene:
    """The patient sits in the waiting room."""
    scene = asked(desk)
    desk.staff("check_in", scene.appointments[0], THREE - 10 * MINUTE)
    return Scene(scene.phone, scene.appointments, scene.user, THREE - 5 * MINUTE)


def cancelled_by_staff(desk: Desk) -> Scene:
    """Asked, then cancelled by the clinic."""
    scene = asked(desk)
    desk.staff("cancel", scene.appointments[0])
    return scene


def cancelled_unasked(desk: Desk) -> Scene:
    """Cancelled before any question."""
    scene = not_asked(desk)
    desk.staff("cancel", scene.appointments[0])
    return scene


def confirmed_by_staff(desk: Desk) -> Scene:
    """Asked, then confirmed at the front desk."""
    scene = asked(desk)
    desk.staff("confirm", scene.appointments[0])
    return scene


def moved(desk: Desk) -> Scene:
    """Asked about three o'clock, then moved to tomorrow."""
    scene = asked(desk)
    desk.move(scene.appointments[0], THREE + DAY)
    return scene


def moved_within_the_window(desk: Desk) -> Scene:
    """Asked about three o'clock, then moved to two: that could be confirmed by now."""
    scene = asked(desk)
    desk.move(scene.appointments[0], THREE - HOUR)
    return scene


def moved_and_asked_again(desk: Desk) -> Scene:
    """Asked about three o'clock, moved to seven, asked about that."""
    scene = asked(desk)
    desk.move(scene.appointments[0], THREE + 4 * HOUR)
    desk.ask(NOON + 4 * HOUR)
    return Scene(scene.phone, scene.appointments, scene.user, NOON + 4 * HOUR + MINUTE)


def without_appointment(desk: Desk) -> Scene:
    """A patient who has none, and never had."""
    user = desk.patient()
    return Scene(user.phone or "", [], user)


def stranger(desk: Desk) -> Scene:
    """Nobody's phone; somebody else was asked."""
    return Scene("+12125559999", asked(desk).appointments)


def withheld(desk: Desk) -> Scene:
    """A sender that is no phone number."""
    return Scene("ANONYMOUS", asked(desk).appointments)


def the_doctors_phone(desk: Desk) -> Scene:
    """The doctor of the appointment."""
    return Scene(desk.doctor.user.phone or "", asked(desk).appointments, desk.doctor.user)


def another_patients_before(desk: Desk) -> Scene:
    """The number has a new owner since the question was sent."""
    scene = asked(desk)
    assert scene.user
    desk.change(scene.user, phone="+12125550177")
    return Scene(scene.phone, scene.appointments, desk.patient(phone=scene.phone))


def from_a_new_phone(desk: Desk) -> Scene:
    """Asked at the old number."""
    scene = asked(desk)
    assert scene.user
    desk.change(scene.user, phone="+12125550177")
    return Scene("+12125550177", scene.appointments, scene.user)


def deactivated(desk: Desk) -> Scene:
    """A patient who was asked, and whose account was closed since."""
    scene = asked(desk)
    assert scene.user
    desk.change(scene.user, is_active=False)
    return scene


def opted_out(desk: Desk) -> Scene:
    """Asked; then the patient has opted out by other ways."""
    scene = asked(desk)
    assert scene.user
    desk.opt_out(scene.phone)
    return scene


def in_doubt(desk: Desk) -> Scene:
    """Asked a day before, perhaps: the carrier has not said whether it took the question."""
    desk.db["clinics"].update_one({"_id": desk.clinic.id}, {"$set": {"policy.reminder_minutes": [1440]}})
    user = desk.patient()
    booked = desk.book(user, THREE + DAY)
    desk.ask(THREE)
    in_doubt_ = {
        "$set": {"status": "unknown", "reconcile_at": THREE + HOUR},
        "$unset": {"twilio_sid": "", "sent_at": ""},
    }
    desk.db["sms_logs"].update_one({"_id": desk.reminder(booked)["_id"]}, in_doubt_)
    desk.db["appointments"].update_one(
        {"_id": booked.id}, {"$unset": {"confirmation_requested_at": "", "auto_cancel_at": ""}}
    )
    return Scene(user.phone or "", [booked], user, THREE + MINUTE)


def undelivered(desk: Desk) -> Scene:
    """Asked, but the carrier has reported that it did not arrive."""
    scene = asked(desk)
    desk.db["sms_logs"].update_one(
        {"_id": desk.reminder(scene.appointments[0])["_id"]}, {"$set": {"status": "undelivered"}}
    )
    return scene


Make = Callable[[Desk], Scene]
