"""The rules of a visit type that bind patients who book online. Staff are exempt, and the history says from what."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments import repository
from backend.appointments.documents import Exemption
from backend.appointments.errors import StaffOnly, TooManyOpenBookings
from backend.appointments.lifecycle import NoticeTooShort
from backend.core.mongo.updates import breaks_index_on
from backend.directory.visit_types.documents import BookableBy, VisitType


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a booking may be made: its number among the patient's open ones, and exemptions of the staff.

    `open_numbers` are those that may be tried; None in it is the number of a booking that no limit counts.
    """

    open_numbers: Sequence[int | None] = (None,)
    exempt_from: Sequence[Exemption] = ()


async def check_rules(
    caller: User, visit_type: VisitType | None, *, patient_id: PydanticObjectId, start: datetime, now: datetime
) -> Terms:
    """Returns the terms of a new booking. Times are UTC.

    Raises `StaffOnly`, `NoticeTooShort`, `TooManyOpenBookings`.
    """
    if visit_type is None:
        return Terms()
    check_online(caller, visit_type)
    exempt_from = check_notice(caller, visit_type, start, now)
    return await _with_open_numbers(caller, visit_type, patient_id, exempt_from)


def check_online(caller: User, visit_type: VisitType) -> None:
    """Raises `StaffOnly` if a patient wants to book or reschedule what only the staff book."""
    if caller.role is Role.PATIENT and visit_type.bookable_by is BookableBy.STAFF:
        raise StaffOnly


def check_notice(caller: User, visit_type: VisitType, start: datetime, now: datetime) -> list[Exemption]:
    """Raises `NoticeTooShort` if a patient books too late; returns what the staff are exempt from. Times are UTC."""
    latest = start - visit_type.minimum_notice
    if now < latest:
        return []
    if caller.role is Role.PATIENT:
        raise NoticeTooShort(latest)
    return [Exemption.MINIMUM_NOTICE]


async def _with_open_numbers(
    caller: User, visit_type: VisitType, patient_id: PydanticObjectId, exempt_from: list[Exemption]
) -> Terms:
    """Adds the free numbers of the patient's open bookings of this type. Bookings by staff have none.

    Raises `TooManyOpenBookings`. A booking at the same moment may still take a number: see `with_open_number`.
    """
    limit = visit_type.open_bookings_per_patient
    if limit is None:
        return Terms(exempt_from=exempt_from)
    taken = await repository.find_open_numbers(patient_id, visit_type.visit_type_id)
    free = [number for number in range(limit) if number not in taken]
    if caller.role is not Role.PATIENT:
        return Terms(exempt_from=exempt_from if free else [*exempt_from, Exemption.OPEN_BOOKINGS])
    if not free:
        raise TooManyOpenBookings
    return Terms(free)


async def with_open_number(numbers: Iterable[int | None], insert: Callable[[int | None], Awaitable[None]]) -> None:
    """Calls `insert` with one number after the other until the index accepts it. Raises `TooManyOpenBookings`."""
    for number in numbers:
        try:
            return await insert(number)
        except DuplicateKeyError as error:
            if not breaks_index_on(error, "open_number"):
                raise
    raise TooManyOpenBookings
