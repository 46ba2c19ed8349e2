"""Dates and times in words: the clinic's wall clock, as the language and the clinic's country write it."""

from datetime import datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_datetime, format_skeleton, format_time

from backend.accounts.documents import Language

_ELSEWHERE = {"en": "en_001", "es": "es"}


@lru_cache(maxsize=4096)
def day_and_time(at: datetime, time_zone: str, language: Language, *, with_zone: bool = False) -> str:
    """As "Tue, Mar 10, 2:05 PM" or "mar 10 de marzo, 14:05". `at` is aware, `time_zone` an IANA name.

    The year is left out: nothing is booked so far ahead. What GSM-7 doesn't carry is still in it.
    """
    return f"{_day(at, time_zone, language)}, {clock_time(at, time_zone, language, with_zone=with_zone)}"


def clock_time(at: datetime, time_zone: str, language: Language, *, with_zone: bool = False) -> str:
    """As "2:05 PM" or "14:05", with the zone "EDT" or "GMT-03:00" if that is wanted."""
    zone = ZoneInfo(time_zone)
    written = format_time(at, "short", tzinfo=zone, locale=_locale(language, time_zone))
    if not with_zone:
        return written
    # CLDR abbreviates only the zones of the language's own country; the zone database has what people there say.
    short = at.astimezone(zone).tzname() or ""
    return f"{written} {short if short.isalpha() else format_datetime(at, 'OOOO', tzinfo=zone, locale='en')}"


def same_day(one: datetime, other: datetime, time_zone: str) -> bool:
    """Whether two moments are on one calendar day at the clinic."""
    zone = ZoneInfo(time_zone)
    return one.astimezone(zone).date() == other.astimezone(zone).date()


def _day(at: datetime, time_zone: str, language: Language) -> str:
    zone, locale = ZoneInfo(time_zone), _locale(language, time_zone)
    if language == "es":  # with both abbreviated, a Tuesday in March is "mar, 10 mar"
        return format_datetime(at, "EEE d 'de' MMMM", tzinfo=zone, locale=locale)
    return format_skeleton("MMMEd", at, tzinfo=zone, locale=locale)


@cache
def _locale(language: Language, time_zone: str) -> Locale:
    """The language as the zone's country writes it: a clock of 12 or 24 hours, the month before or after the day."""
    name = get_global("zone_aliases").get(time_zone, time_zone)
    country = get_global("zone_territories").get(name, "")
    try:
        return Locale.parse(f"{language}_{country}")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(_ELSEWHERE[language])
