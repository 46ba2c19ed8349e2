"""What patients are told, and when, after the time zone of their clinic was corrected."""

from datetime import datetime

from backend.accounts.documents import Role
from backend.directory.documents import Policy
from tests import factories
from tests.appointments.support import done
from tests.messaging.conftest import NOON
from tests.messaging.network import Network
from tests.messaging.office import DAY, HOUR, MINUTE, TWO, Db, Office, make_office

TWELVE = TWO - 2 * HOUR
"""Tuesday, 12:00 in New York."""


def correct(office: Office, zone: str) -> None:
    admin = factories.make_user(office.run, Role.ADMIN)
    done(admin.client.patch(f"/clinics/{office.clinic.clinic_id}", json={"time_zone": zone}))


def test_a_reminder_says_what_the_clinic_s_clock_will_show(office: Office) -> None:
    """12:00 in New York is 11:00 in Chicago."""
    appointment = office.book(office.patient(), TWELVE)
    office.send(NOON)
    assert "12:00" in office.log(appointment, "booked")["body"]
    correct(office, "America/Chicago")
    office.minute(TWELVE - 3 * HOUR)
    body = office.log(appointment, "reminder")["body"]
    assert "11:00" in body
    assert "12:00" not in body
    assert {log["time_zone"] for log in office.logs(appointment)} == {"America/Chicago"}


def test_calendar_days_and_quiet_hours_are_reckoned_anew(noon: datetime, network: Network, db: Db) -> None:
    """Three hours before 12:00 in New York it is 3:00 in Honolulu, in the quiet hours: an hour before they began."""
    office = make_office(network, db, policy=Policy(reminder_minutes=[180]))
    appointment = office.book(office.patient(), TWELVE)
    office.owe(NOON)
    assert office.stored(appointment)["remind_at"] == TWELVE - 3 * HOUR
    correct(office, "Pacific/Honolulu")
    office.owe(NOON)
    assert office.stored(appointment)["remind_at"].isoformat() == "2030-06-04T06:00:00+00:00"


def test_a_day_ahead_follows_the_clock_changes_of_the_new_zone(noon: datetime, network: Network, db: Db) -> None:
    """Clocks go back on 3 November 2030 in New York, not in Bogotá: that calendar day has 25 hours here, 24 there."""
    office = make_office(network, db, policy=Policy(reminder_minutes=[1440], horizon_days=366))
    sunday_noon = datetime.fromisoformat("2030-11-03T12:00:00-05:00")
    appointment = office.book(office.patient(), sunday_noon)
    office.owe(NOON)
    assert office.stored(appointment)["remind_at"] == sunday_noon - 25 * HOUR
    correct(office, "America/Bogota")
    office.owe(NOON)
    assert office.stored(appointment)["remind_at"] == sunday_noon - DAY


def test_what_waits_for_the_morning_goes_by_the_new_clock(noon: datetime, network: Network, db: Db) -> None:
    """Noon in New York is 21:30 in Kolkata: the message waits there, and not here."""
    office = make_office(network, db, time_zone="Asia/Kolkata")
    appointment = office.book(office.patient(), TWO - 8 * HOUR)
    assert office.send(NOON) == 0
    correct(office, "America/New_York")
    assert office.send(NOON + MINUTE) == 1
    assert office.log(appointment, "booked")["status"] == "sent"
