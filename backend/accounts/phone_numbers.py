"""Phone numbers: the one form in which a number is stored and compared. Pure, but for the region in force.

A number is E.164. If it has an extension, that follows as RFC 3966 writes it: `+12125550100;ext=45`.
"""

from contextlib import suppress
from contextvars import ContextVar

import phonenumbers
from babel.core import get_global
from phonenumbers import PhoneNumber, PhoneNumberFormat

from backend.core.settings import settings

phone_region: ContextVar[str | None] = ContextVar("phone_region", default=None)
"""The region of numbers without a country code, in the request under way: ISO 3166-1 alpha-2. None: the setting's."""

_EXTENSION = ";ext="

_MOBILE_MARKS = {52: ("1", "044", "045", "01"), 54: ("9",)}
"""What mobile numbers of Mexico and Argentina are, or were, written with after the country code, and without. An SMS
needs neither. Sources: https://www.twilio.com/en-us/guidelines/mx/sms (the dial plan of 2019),
https://en.wikipedia.org/wiki/Telephone_numbers_in_Argentina"""

_NATIONAL_DIGITS = 10
"""So many digits follow the country code in both countries, without the mark."""


def normal_form(typed: str, *, region: str | None = None) -> str:
    """Reads a phone number in any usual notation. Raises `ValueError`.

    A number without a country code belongs to `region`, else to the region in force. Fictional numbers (+1 555…) are
    possible, though not assigned.
    """
    try:
        number = phonenumbers.parse(typed, region or phone_region.get() or settings.DEFAULT_PHONE_REGION)
    except phonenumbers.NumberParseException:
        raise ValueError("is not a phone number") from None
    _drop_mobile_mark(number)
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a phone number")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return f"{e164}{_EXTENSION}{number.extension}" if number.extension else e164


def country_of_zone(time_zone: str) -> str:
    """Returns the country in which an IANA time zone lies, or the setting's if it lies in none."""
    name = get_global("zone_aliases").get(time_zone, time_zone)
    country = get_global("zone_territories").get(name, "")
    return country if country in phonenumbers.SUPPORTED_REGIONS else settings.DEFAULT_PHONE_REGION


def _drop_mobile_mark(number: PhoneNumber) -> None:
    digits = phonenumbers.national_significant_number(number)
    rest = digits[-_NATIONAL_DIGITS:]
    if digits.removesuffix(rest) in _MOBILE_MARKS.get(number.country_code or 0, ()):
        number.national_number = int(rest)
        number.italian_leading_zero = number.number_of_leading_zeros = None


def gets_sms(number: str) -> bool:
    """Returns whether a number in its normal form gets messages. Behind an extension there is a switchboard."""
    return _EXTENSION not in number


def spoken(number: str) -> str:
    """Returns a number as a text to people gives it: with "ext. 45"."""
    return number.replace(_EXTENSION, " ext. ")


def sender_form(sender: str) -> str:
    """Returns the normal form of a message's sender, or the sender as it is if that is no international number."""
    with suppress(ValueError):
        if sender.startswith("+"):
            return normal_form(sender)
    return sender
