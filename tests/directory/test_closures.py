"""A clinic's closures, as scheduling keeps them through the service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from beanie import PydanticObjectId

from backend.directory import clinics
from backend.directory.documents import Clinic, Closure
from backend.directory.errors import ClinicNotFound, ClosureNotFound, TooManyClosures
from tests.factories import Run

NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def closure(day: int) -> Closure:
    start = NEW_YEAR + timedelta(days=day)
    return Closure(start=start, end=start + timedelta(days=1), reason=f"day {day}")


def test_closures_are_kept_in_order_and_deleted_by_id(clinic: Clinic, run: Run[Any]) -> None:
    added = [closure(day) for day in (5, 1, 3)]
    for each in added:
        run(clinics.add_closure(clinic.clinic_id, each))

    assert run(clinics.get_clinic(clinic.clinic_id)).closures == [added[1], added[2], added[0]]
    assert run(clinics.delete_closure(clinic.clinic_id, added[2].id)).closures == [added[1], added[0]]
    with pytest.raises(ClosureNotFound):
        run(clinics.delete_closure(clinic.clinic_id, added[2].id))


def test_an_unknown_clinic_has_no_closures(run: Run[Any]) -> None:
    with pytest.raises(ClinicNotFound):
        run(clinics.add_closure(PydanticObjectId(), closure(1)))
    with pytest.raises(ClinicNotFound):
        run(clinics.delete_closure(PydanticObjectId(), PydanticObjectId()))


def test_the_number_of_closures_is_limited(clinic: Clinic, run: Run[Any], db: Any) -> None:
    stored = [closure(day).model_dump() for day in range(clinics.MOST_CLOSURES - 1)]
    db.clinics.update_one({"_id": clinic.id}, {"$set": {"closures": stored}})

    run(clinics.add_closure(clinic.clinic_id, closure(1000)))
    with pytest.raises(TooManyClosures):
        run(clinics.add_closure(clinic.clinic_id, closure(1001)))

    assert len(run(clinics.get_clinic(clinic.clinic_id)).closures) == clinics.MOST_CLOSURES


def test_a_change_of_the_clinic_leaves_its_closures(clinic: Clinic, run: Run[Any]) -> None:
    run(clinics.add_closure(clinic.clinic_id, closure(1)))

    assert len(run(clinics.update_clinic(clinic.clinic_id, {"name": "Another"})).closures) == 1
