"""Booking an appointment: one insert, and the unique indexes decide."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.access import is_staff
from backend.accounts.documents import Role, User
from backend.appointments import errors, repository
from backend.appointments.booking.document import new_appointment, place_fields
from backend.appointments.booking.rules import check_rules, with_open_number
from backend.appointments.booking.seat_allocation import (
    SeatNumbers,
    SlotToBook,
    allocate_seats,
    alternatives_to,
    read_run,
    read_slot_to_book,
)
from backend.appointments.documents import Appointment
from backend.appointments.events import messages_pending
from backend.appointments.permissions import Actor, check_may_book, visible_to
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import read_visit_type
from backend.patients.errors import PatientNotFound
from backend.patients.links.acting import OwnPatient, find_own
from backend.patients.merging.resolving import surviving_id
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.slots.capacity import is_bookable, is_bookable_by_staff
from backend.scheduling.slots.runs import Visit

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Booking:
    """An appointment as it is stored, and whether an earlier request with the same key made it."""

    document: Document
    is_replay: bool = False

    @property
    def appointment(self) -> Appointment:
        """The document as a model. The API doesn't use it: building the model takes longer than the response."""
        appointment: Appointment = Appointment.model_validate(self.document)
        return appointment


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    """What the caller wants to book."""

    slot_id: PydanticObjectId
    visit_type_id: PydanticObjectId | None = None
    patient_id: PydanticObjectId | None = None
    reason: str | None = None
    idempotency_key: str | None = None

    def digest(self, patient_id: PydanticObjectId) -> str | None:
        """Returns a hash that differs between different requests with the same key; None without a key."""
        if self.idempotency_key is None:
            return None
        text = json.dumps([str(self.slot_id), str(self.visit_type_id), str(patient_id), self.reason])
        return hashlib.sha256(text.encode()).hexdigest()


async def book(caller: User, request: BookingRequest) -> Booking:
    """Books a visit: one read of the slot (and of the patient, when staff book), one insert.

    A visit of some type reads its type and the slots that follow, and takes a seat in each, in the same insert.

    A repeated request with the same key returns the appointment that the first one made, in its present state.
    Raises `SlotNotFound`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`, `PatientRequired`,
    `PatientNotFound`, `OutsideYourScope`, `IdempotencyKeyReused`; and for a visit type `VisitTypeNotFound`,
    `VisitTypeNotOffered`, `NotEnoughTime`, `StaffOnly`, `NoticeTooShort`, `TooManyOpenBookings`.
    """
    own = await find_own(caller, request.patient_id) if caller.role is Role.PATIENT else None
    patient_id = own.patient_id if own else request.patient_id
    if patient_id is None:
        raise errors.PatientRequired
    visit_type = None
    try:
        visit_type = await read_visit_type(request.visit_type_id)
        document = await _book_for_survivor(caller, request, patient_id, own, visit_type)
    except DomainError as refusal:
        earlier = await find_earlier(caller, request, patient_id)
        if earlier is not None:
            return Booking(earlier, is_replay=True)
        if isinstance(refusal, errors.SlotUnavailable):
            visit = visit_type and Visit.of(visit_type)
            refusal.alternatives = await alternatives_to(request.slot_id, visit=visit, for_staff=is_staff(caller))
        raise
    await messages_pending.send(None)
    return Booking(document)


async def _book_for_survivor(
    caller: User,
    request: BookingRequest,
    patient_id: PydanticObjectId,
    own: OwnPatient | None,
    visit_type: VisitType | None,
) -> Document:
    """Books for the patient; if their record was merged, for the one that survived. Only then it reads more."""
    try:
        return await _book(caller, request, patient_id, own, visit_type)
    except PatientNotFound:
        survivor_id = await surviving_id(patient_id)
        if survivor_id == patient_id:
            raise
        own = await find_own(caller, survivor_id) if caller.role is Role.PATIENT else None
        return await _book(caller, request, survivor_id, own, visit_type)


async def _book(
    caller: User,
    request: BookingRequest,
    patient_id: PydanticObjectId,
    own: OwnPatient | None,
    visit_type: VisitType | None,
) -> Document:
    to_book, patient_name = await _read_slot_and_name(caller, request.slot_id, patient_id, own)
    slot, now = to_book.slot, utc_now()
    if not (is_bookable_by_staff if is_staff(caller) else is_bookable)(slot, now):
        raise errors.SlotNotOpen
    terms = await check_rules(caller, visit_type, patient_id=patient_id, start=slot.start, now=now)
    run, claims = await read_run(to_book, visit_type and Visit.of(visit_type))
    actor, digest = Actor.of(caller), request.digest(request.patient_id or patient_id)

    async def insert(numbers: SeatNumbers) -> Document:
        document = new_appointment(
            place_fields(run, numbers, visit_type),
            patient_id=patient_id,
            patient_name=patient_name,
            actor=actor,
            reason=request.reason,
            idempotency_key=request.idempotency_key,
            request_hash=digest,
            now=now,
            exempt_from=terms.exempt_from,
        )

        async def with_number(number: int | None) -> None:
            if number is not None:
                document["open_number"] = number
            await repository.insert(document)

        await with_open_number(terms.open_numbers, with_number)
        return document

    try:
        return await allocate_seats(run, claims, patient_id=patient_id, write=insert)
    except DuplicateKeyError:
        # The index of idempotency keys: the same request was made before, or is being made at this moment.
        raise errors.AppointmentChanged from None


async def _read_slot_and_name(
    caller: User, slot_id: PydanticObjectId, patient_id: PydanticObjectId, own: OwnPatient | None
) -> tuple[SlotToBook, str]:
    """Reads a slot that the caller may book and the patient's name, in one command.

    Raises `SlotNotFound`, `OutsideYourScope`, `PatientNotFound`.
    """
    if caller.role is Role.PATIENT and own is None:
        raise PatientNotFound
    to_book = await read_slot_to_book(slot_id, patient_id=None if own else patient_id)
    if to_book is None:
        raise SlotNotFound
    check_may_book(caller, to_book.slot)
    patient_name = own.name if own else to_book.patient_name
    if patient_name is None:
        raise PatientNotFound
    return to_book, patient_name


class _Keyed(Protocol):
    """A request that may have an idempotency key."""

    @property
    def idempotency_key(self) -> str | None: ...

    @property
    def patient_id(self) -> PydanticObjectId | None: ...

    def digest(self, patient_id: PydanticObjectId) -> str | None: ...


async def find_earlier(caller: User, request: _Keyed, patient_id: PydanticObjectId) -> Document | None:
    """Returns the appointment that the caller's earlier request with the same key made.

    Raises `IdempotencyKeyReused`, and `OutsideYourScope` if it was rescheduled to where the caller can't see it.
    """
    key = request.idempotency_key
    if key is None or (earlier := await repository.find_by_idempotency_key(caller.user_id, key)) is None:
        return None
    if earlier.get("request_hash") != request.digest(request.patient_id or patient_id):
        raise errors.IdempotencyKeyReused
    if await repository.find(earlier["_id"], scope=await visible_to(caller)) is None:
        raise errors.OutsideYourScope
    return earlier
