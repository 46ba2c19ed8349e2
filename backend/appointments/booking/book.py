"""Booking an appointment: one insert, and the unique indexes decide."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.access import is_staff
from backend.accounts.documents import Role, User
from backend.appointments import errors, repository
from backend.appointments.booking.document import new_appointment, place_fields
from backend.appointments.booking.rules import Terms, check_rules, with_open_number
from backend.appointments.booking.seat_allocation import (
    SeatNumbers,
    allocate_seats,
    alternatives_to,
    read_run,
)
from backend.appointments.booking.slot_to_book import (
    SlotToBook,
    read_slot_and_links,
    read_slot_and_name,
    read_slot_to_book,
)
from backend.appointments.documents import Appointment
from backend.appointments.events import messages_pending
from backend.appointments.permissions import Actor, check_may_book, check_not_own, visible_to
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import read_visit_type
from backend.patients.errors import PatientNotFound
from backend.patients.links.acting import OwnPatient, choose, find_own, patients_in
from backend.patients.merging.resolving import surviving_id
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.repository import Row
from backend.scheduling.slots.capacity import is_bookable, is_bookable_by_staff
from backend.scheduling.slots.runs import Run, Visit

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
    """Books a visit: one read of the slot and the patient, one insert.

    A visit of some type reads its type and the slots that follow, and takes a seat in each, in the same insert.

    A repeated request with the same key returns the appointment that the first one made, in its present state.
    Raises `SlotNotFound`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`, `PatientRequired`,
    `PatientNotFound`, `OutsideYourScope`, `OwnAppointment`, `OwnSlot`, `IdempotencyKeyReused`; and for a visit type
    `VisitTypeNotFound`, `VisitTypeNotOffered`, `NotEnoughTime`, `StaffOnly`, `NoticeTooShort`, `TooManyOpenBookings`.
    """
    own, patient_id, to_book = await _find_patient_and_slot(caller, request)
    visit_type = None
    try:
        visit_type = await read_visit_type(request.visit_type_id)
        document = await take(await prepare(caller, request, patient_id, own, visit_type, to_book=to_book))
    except DomainError as refusal:
        earlier = await find_earlier(caller, request, patient_id)
        if earlier is not None:
            return Booking(earlier, is_replay=True)
        if isinstance(refusal, errors.SlotUnavailable):
            await offer_alternatives(caller, refusal, request, visit_type)
        raise
    await messages_pending.send(None)
    return Booking(document)


async def find_patient(
    caller: User, patient_id: PydanticObjectId | None
) -> tuple[OwnPatient | None, PydanticObjectId]:
    """Returns for whom the caller books: to patients one for whom they act (None: they don't), and the id.

    A merged record's id stands for the one that survived. Raises `PatientRequired`.
    """
    own = None
    if caller.role is Role.PATIENT:
        own = await find_own(caller, patient_id)
        if own is None and patient_id is not None:
            own = await find_own(caller, await surviving_id(patient_id))
    found = own.patient_id if own else patient_id
    if found is None:
        raise errors.PatientRequired
    return own, found


async def _find_patient_and_slot(
    caller: User, request: BookingRequest
) -> tuple[OwnPatient | None, PydanticObjectId, SlotToBook | None]:
    """As `find_patient`; to patients it returns the slot too, which the same command has read."""
    if caller.role is Role.PATIENT:
        to_book, links = await read_slot_and_links(request.slot_id, caller.user_id)
        if (own := choose(await patients_in(links), request.patient_id)) is not None:
            return own, own.patient_id, to_book
    return *await find_patient(caller, request.patient_id), None


async def offer_alternatives(
    caller: User, refusal: errors.SlotUnavailable, request: BookingRequest, visit_type: VisitType | None
) -> None:
    """Adds to a refusal what the caller can book instead."""
    visit = visit_type and Visit.of(visit_type)
    refusal.alternatives = await alternatives_to(request.slot_id, visit=visit, for_staff=is_staff(caller))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedBooking:
    """A booking that keeps all rules, and the claims on its slots as they were read. The insert decides. UTC."""

    run: Run
    claims: Sequence[Row]
    terms: Terms
    actor: Actor
    patient_id: PydanticObjectId
    patient_name: str
    visit_type: VisitType | None
    reason: str | None
    idempotency_key: str | None
    request_hash: str | None
    now: datetime


async def prepare(
    caller: User,
    request: BookingRequest,
    patient_id: PydanticObjectId,
    own: OwnPatient | None,
    visit_type: VisitType | None,
    *,
    to_book: SlotToBook | None = None,
) -> PreparedBooking:
    """Reads all that a booking needs and checks its rules. Writes nothing. Raises as `book` does.

    `to_book` is the slot, if it was read already. For a merged record it reads again, for the one that survived.
    """
    try:
        return await _prepare(caller, request, patient_id, own, visit_type, to_book=to_book)
    except PatientNotFound:
        survivor_id = await surviving_id(patient_id)
        if survivor_id == patient_id:
            raise
        return await _prepare(caller, request, survivor_id, own, visit_type, to_book=to_book)


async def _prepare(
    caller: User,
    request: BookingRequest,
    patient_id: PydanticObjectId,
    own: OwnPatient | None,
    visit_type: VisitType | None,
    *,
    to_book: SlotToBook | None,
) -> PreparedBooking:
    patient_name: str | None
    if own is not None:
        to_book, patient_name = to_book or await read_slot_to_book(request.slot_id), own.name
    else:
        to_book, patient_name = await _read_slot_and_name(caller, request.slot_id, patient_id)
    if to_book is None:
        raise SlotNotFound
    check_may_book(caller, to_book.slot)
    if patient_name is None:
        raise PatientNotFound
    slot, now = to_book.slot, utc_now()
    if not (is_bookable_by_staff if is_staff(caller) else is_bookable)(slot, now):
        raise errors.SlotNotOpen
    terms = await check_rules(caller, visit_type, patient_id=patient_id, start=slot.start, now=now)
    run, claims = await read_run(to_book, visit_type and Visit.of(visit_type))
    return PreparedBooking(
        run=run,
        claims=claims,
        terms=terms,
        actor=Actor.of(caller),
        patient_id=patient_id,
        patient_name=patient_name,
        visit_type=visit_type,
        reason=request.reason,
        idempotency_key=request.idempotency_key,
        request_hash=request.digest(request.patient_id or patient_id),
        now=now,
    )


async def take(
    booking: PreparedBooking, adapt: Callable[[Document], Document] = lambda document: document
) -> Document:
    """Inserts the appointment of a booking, as `adapt` makes it, and returns it.

    Raises `SlotTaken`, `DayFull`, `PatientDoubleBooked`, `TooManyOpenBookings`, and `AppointmentChanged` if there is
    an appointment with its id or its key.
    """

    async def insert(numbers: SeatNumbers) -> Document:
        document = adapt(
            new_appointment(
                place_fields(booking.run, numbers, booking.visit_type),
                patient_id=booking.patient_id,
                patient_name=booking.patient_name,
                actor=booking.actor,
                reason=booking.reason,
                idempotency_key=booking.idempotency_key,
                request_hash=booking.request_hash,
                now=booking.now,
                exempt_from=booking.terms.exempt_from,
            )
        )

        async def with_number(number: int | None) -> None:
            if number is not None:
                document["open_number"] = number
            await repository.insert(document)

        await with_open_number(booking.terms.open_numbers, with_number)
        return document

    try:
        return await allocate_seats(booking.run, booking.claims, patient_id=booking.patient_id, write=insert)
    except DuplicateKeyError:
        # The index of idempotency keys: the same request was made before, or is being made at this moment.
        raise errors.AppointmentChanged from None


async def _read_slot_and_name(
    caller: User, slot_id: PydanticObjectId, patient_id: PydanticObjectId
) -> tuple[SlotToBook | None, str | None]:
    """Reads a slot and the name of a patient for whom the staff book. Raises `PatientNotFound`, `OwnAppointment`."""
    if caller.role is Role.PATIENT:
        raise PatientNotFound
    await check_not_own(caller, patient_id)
    return await read_slot_and_name(slot_id, patient_id)


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
