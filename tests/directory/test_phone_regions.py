"""Numbers without a country code belong to the country of the clinic in question."""

from typing import Any

import pytest

from backend.accounts.documents import Role
from backend.accounts.profiles import NurseProfile
from backend.directory.documents import Clinic
from tests.directory.support import changed, made, names, new_clinic, new_doctor, read
from tests.factories import Person, Run, make_clinic, make_nurse, make_user

TYPED = "55 1234 4839"
MEXICAN = "+525512344839"
AMERICAN = "+15512344839"


@pytest.fixture
def mexican(run: Run[Any]) -> Clinic:
    return make_clinic(run, time_zone="America/Mexico_City", city="Mexico City", opening_hours=[])


@pytest.fixture
def desk(run: Run[Any], mexican: Clinic) -> Person:
    """A nurse of the clinic in Mexico City."""
    return make_nurse(run, mexican)


def test_a_number_entered_in_mexico_city_is_mexican(desk: Person) -> None:
    patient = made(desk.client, "/patients", {"name": "Frida Kahlo", "phone": TYPED})
    assert patient["phone"] == MEXICAN
    path = f"/patients/{patient['id']}"
    assert changed(desk.client, path, phone="55 1234 0000")["phone"] == "+525512340000"
    assert changed(desk.client, path, phone="+1 212 555 0123")["phone"] == "+12125550123"


def test_a_number_is_found_as_the_clinic_writes_it(desk: Person, nurse: Person) -> None:
    made(desk.client, "/patients", {"name": "Frida Kahlo", "phone": "+52 1 55 1234 4839"})
    assert names(desk.client, "/patients", q="55 1234") == ["Frida Kahlo"]
    assert names(desk.client, "/patients", q=TYPED) == ["Frida Kahlo"]


def test_where_no_clinic_or_several_countries_are_known_the_setting_decides(
    run: Run[Any], admin: Person, clinic: Clinic, mexican: Clinic
) -> None:
    of_both = make_user(run, Role.NURSE, nurse=NurseProfile(clinic_ids=[clinic.clinic_id, mexican.clinic_id]))
    made(admin.client, "/patients", {"name": "Diego", "phone": TYPED})
    (row,) = read(of_both.client, "/patients", q="Diego")["items"]
    assert row["phone"] == AMERICAN
    assert changed(of_both.client, f"/patients/{row['id']}", phone="55 1234 0000")["phone"] == "+15512340000"


@pytest.mark.parametrize(
    ("fields", "country", "phone"),
    [
        ({"time_zone": "America/Mexico_City"}, "MX", MEXICAN),
        ({"country": "MX"}, "MX", MEXICAN),
        ({"country": "mx"}, "MX", MEXICAN),
        ({"time_zone": "America/Mexico_City", "country": "US"}, "US", AMERICAN),
        ({}, "US", AMERICAN),
    ],
)
def test_a_clinics_own_number_is_of_its_country(
    admin: Person, fields: dict[str, str], country: str, phone: str
) -> None:
    clinic = made(admin.client, "/clinics", new_clinic(**fields, phone=TYPED))
    assert (clinic["country"], clinic["phone"]) == (country, phone)
    path = f"/clinics/{clinic['id']}"
    assert changed(admin.client, path, phone=TYPED)["phone"] == phone
    moved = changed(admin.client, path, country="GB", phone="020 7946 0123")
    assert (moved["country"], moved["phone"]) == ("GB", "+442079460123")


@pytest.mark.parametrize("country", ["XX", "USA", "", "M", 52, None])
def test_what_is_no_country_is_refused_and_nothing_is_written(admin: Person, db: Any, country: Any) -> None:
    clinic = made(admin.client, "/clinics", new_clinic())
    answer = admin.client.patch(f"/clinics/{clinic['id']}", json={"country": country})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "VALIDATION_ERROR")
    assert read(admin.client, f"/clinics/{clinic['id']}") == clinic


def test_a_doctors_number_is_of_the_country_of_the_clinics_given(admin: Person, mexican: Clinic) -> None:
    doctor = made(admin.client, "/doctors", new_doctor(mexican.id, phone=TYPED))
    assert read(admin.client, f"/doctors/{doctor['id']}")["phone"] == MEXICAN


def test_colleagues_behind_one_exchange_keep_their_extensions(nurse: Person) -> None:
    ada = made(nurse.client, "/patients", {"name": "Ada", "phone": "(212) 555-0123 ext. 45"})
    bob = made(nurse.client, "/patients", {"name": "Bob", "phone": "212-555-0123 x46"})
    assert (ada["phone"], bob["phone"]) == ("+12125550123;ext=45", "+12125550123;ext=46")
