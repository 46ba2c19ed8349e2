"""Searching people by what the caller types: words of name or e-mail, or a phone number in any notation."""

import contextlib
import re
from typing import Any

import phonenumbers

from backend.accounts.phone_numbers import normal_form, phone_region
from backend.core.mongo.text_search import starting_with
from backend.core.settings import settings

_WORDS = "search_words"
_NUMBER = re.compile(r"\+?[0-9 ()./-]*[0-9][0-9 ()./-]*")


def search_filter(typed: str) -> dict[str, Any]:
    """Returns the filter for beginnings of words, or of a number with or without its country code.

    The index on search words serves it.
    """
    by_words = starting_with(_WORDS, typed)
    if not _NUMBER.fullmatch(typed):
        return by_words
    return {"$and": [{"$or": [by_words, *(starting_with(_WORDS, number) for number in number_beginnings(typed))]}]}


def number_beginnings(typed: str) -> list[str]:
    """Returns what an E.164 number without its plus begins with, if this is a number or the beginning of one."""
    digits = re.sub("[^0-9]", "", typed)
    home = phonenumbers.country_code_for_region(phone_region.get() or settings.DEFAULT_PHONE_REGION)
    found = {digits} if typed.startswith("+") else {digits, f"{home}{digits}"}
    with contextlib.suppress(ValueError):  # not a whole number yet
        found.add(normal_form(typed).removeprefix("+"))
    return sorted(found)
