"""Which values the surviving record gets."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from backend.core.mongo.text_search import fold
from backend.patients.documents import Patient
from backend.patients.search import KEY_FIELDS, patient_keys

_CHOSEN = (
    *("name", "email", "phone", "language", "photo_url", "date_of_birth", "gender", "address", "blood_group"),
    *("emergency_contact", "assigned_doctor_id"),
)
"""One value survives."""

_JOINED = ("medical_history", "notes")
"""Both texts survive: nothing that somebody wrote about a patient's health is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDifference:
    """A field in which two records differ, and the value that the survivor gets."""

    field: str
    survivor: Any
    other: Any
    result: Any


def differences(survivor: Patient, other: Patient, take: Collection[str]) -> list[FieldDifference]:
    """Returns the fields in which the other record has a value that the survivor lacks or has otherwise.

    The survivor keeps its value, but gets the other's where it has none, and in the fields of `take`. Allergies,
    medical history and notes of both are joined.
    """
    found = []
    for field in (*_CHOSEN, *_JOINED, "allergies"):
        ours, theirs = value_of(survivor, field), value_of(other, field)
        if not theirs or theirs == ours:
            continue
        result: Any
        if field == "allergies":
            known = {fold(each) for each in ours}
            result = [*ours, *(each for each in theirs if fold(each) not in known)]
        elif field in _JOINED:
            result = _join(ours, theirs)
        else:
            result = theirs if field in take or ours is None else ours
        found.append(FieldDifference(field=field, survivor=ours, other=theirs, result=result))
    return found


def changed_fields(found: Collection[FieldDifference]) -> dict[str, Any]:
    """Returns the fields that the survivor gets, as they are stored."""
    return {each.field: each.result for each in found if each.result != each.survivor}


def with_keys(survivor: Patient, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the keys by which a patient is found, where the fields change them."""
    if not any(field in fields for field in KEY_FIELDS):
        return dict(fields)
    return {**fields, **patient_keys(**{name: fields.get(name, getattr(survivor, name)) for name in KEY_FIELDS})}


def value_of(patient: Patient, field: str) -> Any:
    """Returns a field as it is stored."""
    value = getattr(patient, field)
    return value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else value


def _join(ours: str | None, theirs: str) -> str:
    if not ours:
        return theirs
    return ours if theirs in ours else f"{ours}\n\n{theirs}"
