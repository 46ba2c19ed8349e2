"""Numbers in messages: whose reply it is in whatever form the carrier gives the number, and who is called instead."""

import pytest

from backend.core import clock
from tests import factories
from tests.appointments.support import done
from tests.messaging import scenes
from tests.messaging.asked import Desk
from tests.messaging.network import Network
from tests.messaging.office import HOUR, Db
from tests.messaging.signed import reply

MEXICAN, MEXICAN_MOBILE = "+525512344839", "+5215512344839"
ARGENTINE, ARGENTINE_MOBILE = "+541123456789", "+5491123456789"


@pytest.fixture
def desk(network: Network, db: Db) -> Desk:
    return Desk.open(network, db)


@pytest.mark.parametrize(
    ("entered", "sender"),
    [
        (MEXICAN, MEXICAN_MOBILE),
        (MEXICAN_MOBILE, MEXICAN),
        (ARGENTINE, ARGENTINE_MOBILE),
        (ARGENTINE_MOBILE, ARGENTINE),
    ],
)
def test_a_number_with_and_without_its_mobile_mark_is_one(
    desk: Desk, base_url: str, entered: str, sender: str
) -> None:
    nurse = factories.log_in(desk.run, desk.nurse.user).client
    patient = desk.patient()
    phone = nurse.patch(f"/patients/{desk.patient_id(patient)}", json={"phone": entered}).json()["phone"]
    assert phone in (MEXICAN, ARGENTINE)
    booked = desk.book(desk.user(patient))
    desk.ask()
    assert desk.reminder(booked)["phone"] == phone
    with clock.stopped(scenes.SOON):
        assert "confirmed" in reply(base_url, sender, "1")[0]
    assert desk.again(booked).status == "confirmed"


def test_a_number_typed_in_mexico_city_is_written_to_and_answers(network: Network, db: Db, base_url: str) -> None:
    desk = Desk.open(network, db, time_zone="America/Mexico_City", city="Mexico City")
    nurse = factories.log_in(desk.run, desk.nurse.user).client
    patient = desk.patient()
    done(nurse.patch(f"/patients/{desk.patient_id(patient)}", json={"phone": "55 1234 4839"}))
    booked = desk.book(desk.user(patient))
    desk.ask()
    assert len(desk.network.texts(MEXICAN)) == 2
    with clock.stopped(scenes.SOON):
        assert "confirmed" in reply(base_url, MEXICAN_MOBILE, "1")[0]
    assert desk.again(booked).status == "confirmed"


def test_a_number_with_an_extension_gets_calls_and_no_sms(desk: Desk) -> None:
    nurse = factories.log_in(desk.run, desk.nurse.user).client
    booked = []
    for typed in ("(212) 555-0123 ext. 45", "212-555-0123 x46"):  # colleagues behind one exchange
        patient = desk.patient()
        done(nurse.patch(f"/patients/{desk.patient_id(patient)}", json={"phone": typed}))
        booked.append(desk.book(desk.user(patient), scenes.THREE + len(booked) * HOUR))
    desk.ask()
    desk.ask(scenes.NOON + HOUR)
    assert [desk.reminder(each)["status"] for each in booked] == ["skipped"] * 2
    assert desk.network.texts("+12125550123") == []
    assert {("extension", each.id) for each in booked} <= set(desk.list_())


def test_no_code_is_sent_behind_an_extension(desk: Desk) -> None:
    patient = factories.log_in(desk.run, desk.patient(phone="+12125550123;ext=45")).client
    answer = patient.post("/users/me/phone/verification")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "NO_PHONE")
