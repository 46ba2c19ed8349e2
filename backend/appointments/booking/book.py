"""Booking and moving: one write each, and the unique indexes decide."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from beanie import PydanticObjectId
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments.booking.document import copied, new_appointment
from backend.appointments.booking.seat_allocation import (
    Seat,
    SlotChoice,
    read_slot_choice,
    refill_behind,
    seat_in,
)
from backend.appointments.documents import (
    Appointment,
    MessageKind,
    PendingMessage,
    Recipient,
    Status,
    TransitionName,
)
from backend.appointments.errors import (
    AppointmentChanged,
    IdempotencyKeyReused,
    OutsideYourScope,
    PatientRequired,
    SameSlot,
    SlotNotOpen,
    SlotUnavailable,
)
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import TABLE, check
from backend.appointments.permissions import Actor, in_sight
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.core.mongo.batching import SingleFlight, inserts
from backend.directory.documents import Clinic
from backend.directory.errors import PatientNotFound
from backend.scheduling.access import clinics_of
from backend.scheduling.documents import Slot
from backend.scheduling.errors import SlotNotFound
from backend.scheduling.schemas import SlotOut
from backend.scheduling.slots.capacity import BookableSlot, is_bookable
from backend.scheduling.slots.search import next_free

Document = dict[str, Any]

_ASKED_BEFORE = ("confirmation_requested_at", "auto_cancel_at", "confirmation_undelivered")
"""A move asks anew: what was said of the time before doesn't count."""


@dataclass(frozen=True, slots=True)
class Booking:
    """An appointment as it is stored, and whether it is the answer to a repeated request."""

    document: Document
    is_replay: bool = False

    @property
    def appointment(self) -> Appointment:
        """As a model. The API answers from the document: making the model costs more than the answer."""
        appointment: Appointment = Appointment.model_validate(self.document)
        return appointment


@dataclass(frozen=True, slots=True, kw_only=True)
class BookingRequest:
    """What a caller asks for."""

    slot_id: PydanticObjectId
    patient_id: PydanticObjectId | None = None
    reason: str | None = None
    idempotency_key: str | None = None

    def digest(self, patient_id: PydanticObjectId) -> str | None:
        """What tells two requests of one key apart; None without a key."""
        if self.idempotency_key is None:
            return None
        text = json.dumps([str(self.slot_id), str(patient_id), self.reason])
        return hashlib.sha256(text.encode()).hexdigest()


async def book(caller: User, request: BookingRequest) -> Booking:
    """Books a seat: one read of the slot (and the patient, where the staff book), one insert.

    The caller's repeated request with the same key gets the appointment that the first one made, whatever has
    become of it since. Raises `SlotNotFound`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`,
    `PatientRequired`, `PatientNotFound`, `OutsideYourScope`, `IdempotencyKeyReused`.
    """
    patient_id = request.patient_id or (caller.user_id if caller.role is Role.PATIENT else None)
    if patient_id is None:
        raise PatientRequired
    try:
        booked = await _book(caller, request, patient_id)
    except DomainError as refusal:
        earlier = await _earlier(caller, request, patient_id)
        if earlier is not None:
            return Booking(earlier, is_replay=True)
        if isinstance(refusal, SlotUnavailable):
            refusal.alternatives = await alternatives_to(request.slot_id)
        raise
    await messages_pending.send(None)
    return Booking(booked)


_inserts = inserts(Appointment.get_pymongo_collection)


async def _book(caller: User, request: BookingRequest, patient_id: PydanticObjectId) -> Document:
    place, patient_name = await _place_for(caller, request.slot_id, patient_id)
    slot, now = place.slot, utc_now()
    if not is_bookable(slot, now):
        raise SlotNotOpen
    actor, digest = Actor.of(caller), request.digest(patient_id)

    async def insert(seat: Seat) -> Document:
        document = new_appointment(
            slot,
            seat,
            patient_id=patient_id,
            patient_name=patient_name,
            actor=actor,
            reason=request.reason,
            idempotency_key=request.idempotency_key,
            request_hash=digest,
            now=now,
        )
        await _inserts.load(document)
        return document

    try:
        return await seat_in(place, patient_id=patient_id, write=insert)
    except DuplicateKeyError:
        # The key's index: the same request is being carried out at this moment, or was before.
        raise AppointmentChanged from None


def _check_reach(caller: User, slot: BookableSlot) -> None:
    """Raises `OutsideYourScope` unless the caller may book into this slot."""
    if caller.role is Role.DOCTOR and slot.doctor_id != caller.user_id:
        raise OutsideYourScope
    if caller.role is Role.NURSE and slot.clinic_id not in clinics_of(caller):
        raise OutsideYourScope


async def _place_for(
    caller: User, slot_id: PydanticObjectId, patient_id: PydanticObjectId
) -> tuple[SlotChoice, str]:
    """A slot that the caller may book into, and the patient's name: one read, whoever books.

    Raises `SlotNotFound`, `OutsideYourScope`, `PatientNotFound`.
    """
    if caller.role is not Role.PATIENT:
        place = await read_slot_choice(slot_id, patient_id=patient_id)
    elif patient_id == caller.user_id:
        place = await read_slot_choice(slot_id)
    else:
        raise PatientNotFound
    if place is None:
        raise SlotNotFound
    _check_reach(caller, place.slot)
    patient_name = caller.name if caller.role is Role.PATIENT else place.patient_name
    if patient_name is None:
        raise PatientNotFound
    return place, patient_name


async def _earlier(caller: User, request: BookingRequest, patient_id: PydanticObjectId) -> Document | None:
    """What the same caller's request with the same key has made before.

    Raises `IdempotencyKeyReused` and `OutsideYourScope`.
    """
    if request.idempotency_key is None:
        return None
    appointments = Appointment.get_pymongo_collection()
    key = {"created_by": caller.user_id, "idempotency_key": request.idempotency_key}
    earlier: Document | None = await appointments.find_one(key)
    if earlier is None:
        return None
    if earlier.get("request_hash") != request.digest(patient_id):
        raise IdempotencyKeyReused
    if await appointments.find_one({"_id": earlier["_id"], **in_sight(caller)}, {"_id": 1}) is None:
        raise OutsideYourScope  # it was moved to where the caller can't see it
    return earlier


async def alternatives_to(slot_id: PydanticObjectId) -> list[SlotOut]:
    """The next three free slots of the same doctor. Of hundreds who wanted one seat, all but one ask this at once."""
    return await _alternatives.load(slot_id, _next_free_beside)


async def _next_free_beside(slot_id: PydanticObjectId) -> list[SlotOut]:
    slot = await Slot.get(slot_id)
    return [] if slot is None else [SlotOut.of(found) for found in await next_free(slot.doctor_id)]


_alternatives: SingleFlight[PydanticObjectId, list[SlotOut]] = SingleFlight()


async def move(appointment: Appointment, caller: User, *, to: PydanticObjectId) -> Appointment:
    """Moves an appointment to another slot: one update of the one document.

    If the new time is taken, the old one was never let go. It is scheduled again and wants confirming anew.
    Raises `SlotNotFound`, `SameSlot`, `SlotNotOpen`, `SlotTaken`, `DayFull`, `PatientDoubleBooked`,
    `OutsideYourScope`, `AppointmentChanged`, and the errors of `lifecycle.check`.
    """
    actor, now = Actor.of(caller), utc_now()
    clinic = await Clinic.get(appointment.clinic_id)
    assert clinic is not None  # noqa: S101 - clinics are never deleted
    rule = TABLE[TransitionName.RESCHEDULE]
    check(rule, appointment, role=actor.role, now=now, windows=clinic.rules)
    if to == appointment.slot_id:
        raise SameSlot
    place = await read_slot_choice(to)
    if place is None:
        raise SlotNotFound
    _check_reach(caller, place.slot)
    try:
        if not is_bookable(place.slot, now):
            raise SlotNotOpen
        moved = await _move(appointment, place, actor)
    except SlotUnavailable as refusal:
        refusal.alternatives = await alternatives_to(to)
        raise
    await refill_behind(appointment, moved)
    await messages_pending.send(None)
    return moved


async def _move(appointment: Appointment, place: SlotChoice, actor: Actor) -> Appointment:
    now, reschedule_count = utc_now(), appointment.reschedule_count + 1
    history = actor.history_entry(
        transition=TransitionName.RESCHEDULE, status=Status.SCHEDULED, at=now, start=place.slot.start
    )
    pending_messages = PendingMessage(
        kind=MessageKind.RESCHEDULED,
        to=Recipient.PATIENT,
        occurrence=reschedule_count,
        reschedule_count=reschedule_count,
        pending_since=now,
    )

    async def update(seat: Seat) -> Appointment:
        numbered = {"daily_number": seat.daily_number} if seat.daily_number is not None else {}
        raw = await Appointment.get_pymongo_collection().find_one_and_update(
            {"_id": appointment.id, "version": appointment.version},
            {
                "$set": {
                    **copied(place.slot),
                    **numbered,
                    "seat": seat.seat,
                    "reserved_seat": seat.seat,
                    "status": Status.SCHEDULED,
                    "reschedule_count": reschedule_count,
                    "remind_at": now,
                    "reminded_until": now,
                    "updated_at": now,
                },
                "$unset": dict.fromkeys((*_ASKED_BEFORE, *(() if numbered else ("daily_number",))), ""),
                "$push": {
                    "history": history.model_dump(exclude_none=True),
                    "pending_messages": pending_messages.model_dump(),
                },
                "$inc": {"version": 1},
            },
            return_document=ReturnDocument.AFTER,
        )
        if raw is None:
            raise AppointmentChanged
        moved: Appointment = Appointment.model_validate(raw)
        return moved

    return await seat_in(place, patient_id=appointment.patient_id, write=update, moving=appointment)
