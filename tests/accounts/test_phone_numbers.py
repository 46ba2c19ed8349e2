"""One number in its many notations: the form in which it is stored and compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.accounts.phone_numbers import country_of_zone, gets_sms, normal_form, phone_region, sender_form, spoken

MEXICAN = "+525512344839"
ARGENTINE = "+541123456789"


@pytest.mark.parametrize(
    ("typed", "region", "stored"),
    [
        ("(212) 555-0123", "US", "+12125550123"),
        ("55 1234 4839", "MX", MEXICAN),
        ("55 1234 4839", "US", "+15512344839"),  # of New Jersey: hence the clinic's country
        ("+52 55 1234 4839", "US", MEXICAN),
        ("+52 1 55 1234 4839", "US", MEXICAN),
        ("+5215512344839", "MX", MEXICAN),
        ("1 55 1234 4839", "MX", MEXICAN),
        ("044 55 1234 4839", "MX", MEXICAN),
        ("+54 11 2345 6789", "US", ARGENTINE),
        ("+54 9 11 2345 6789", "US", ARGENTINE),
        ("011 15 2345-6789", "AR", ARGENTINE),
        ("9 11 2345 6789", "AR", ARGENTINE),
        ("020 7946 0123", "GB", "+442079460123"),
        ("(212) 555-0123 ext. 45", "US", "+12125550123;ext=45"),
        ("212-555-0123 x45", "US", "+12125550123;ext=45"),
        ("+12125550123;ext=45", "MX", "+12125550123;ext=45"),
        ("+52 1 55 1234 4839 ext 9", "US", f"{MEXICAN};ext=9"),
        ("+1 555 010 0001", "MX", "+15550100001"),
    ],
)
def test_a_number_has_one_form(typed: str, region: str, stored: str) -> None:
    assert normal_form(typed, region=region) == stored
    assert normal_form(stored, region="GB") == stored


@pytest.mark.parametrize("typed", ["", "abc", "12", "+52 1 55", "+1 212 555 01234567", "+999 12345678", "ext 45"])
def test_what_is_no_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is not a phone number"):
        normal_form(typed, region="US")


@given(st.text(max_size=40), st.sampled_from(["US", "MX", "AR", "IT"]))
def test_any_text_is_a_number_or_refused_and_reads_back_the_same(typed: str, region: str) -> None:
    try:
        stored = normal_form(typed, region=region)
    except ValueError:
        return
    assert normal_form(stored, region=region) == stored


def test_the_region_in_force_is_the_settings_unless_one_is_set() -> None:
    assert normal_form("212 555 0123") == "+12125550123"
    token = phone_region.set("MX")
    try:
        assert normal_form("55 1234 4839") == MEXICAN
    finally:
        phone_region.reset(token)


def test_a_number_with_an_extension_gets_no_sms() -> None:
    assert gets_sms("+12125550123")
    assert not gets_sms("+12125550123;ext=45")
    assert spoken("+12125550123;ext=45") == "+12125550123 ext. 45"


@pytest.mark.parametrize(
    ("sender", "known_as"),
    [("+5215512344839", MEXICAN), (MEXICAN, MEXICAN), ("12345", "12345"), ("ANONYMOUS", "ANONYMOUS"), ("+1", "+1")],
)
def test_a_sender_is_known_by_the_same_form(sender: str, known_as: str) -> None:
    assert sender_form(sender) == known_as


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("America/Mexico_City", "MX"),
        ("America/Argentina/Buenos_Aires", "AR"),
        ("Asia/Calcutta", "IN"),
        ("Europe/London", "GB"),
        ("UTC", "US"),
    ],
)
def test_the_country_of_a_time_zone(zone: str, country: str) -> None:
    assert country_of_zone(zone) == country
