"""Booking several visits of a patient together. One document, the batch, is the commit point.

It is stored first, with the ids of its appointments. They are inserted one by one like any booking, but without
messages, and nobody sees them yet. Then the batch is committed, in one conditional update; only then the
appointments get their messages. Or it is given back: no trace of the appointments stays. After a crash a job does
what is left, and a request that is slower than the job loses.
"""

import hashlib
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments import repository as appointments
from backend.appointments.batches import repository
from backend.appointments.batches.documents import Batch, BatchState
from backend.appointments.batches.errors import BatchGivenBack, BatchUnderWay
from backend.appointments.booking.book import (
    BookingRequest,
    PreparedBooking,
    find_patient,
    offer_alternatives,
    prepare,
    take,
)
from backend.appointments.booking.seat_allocation import seats_freed
from backend.appointments.documents import Appointment, MessageKind, PendingMessage, Recipient
from backend.appointments.errors import (
    AppointmentChanged,
    IdempotencyKeyReused,
    OutsideYourScope,
    PatientDoubleBooked,
    SlotUnavailable,
)
from backend.appointments.events import messages_pending
from backend.appointments.permissions import visible_to
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import read_visit_type
from backend.patients.errors import PatientNotFound
from backend.patients.links.acting import OwnPatient

T = TypeVar("T")
Document = dict[str, Any]

LONGEST_BATCH = 5
"""Visits that one request may book together."""

ABANDONED = timedelta(minutes=1)
"""How long after its begin an open batch is given back by the job: longer than any request takes."""

_ID_STAYS_TAKEN = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """The visits that the caller wants to book for one patient."""

    visits: Sequence[BookingRequest]
    patient_id: PydanticObjectId | None = None
    idempotency_key: str | None = None

    def digest(self, patient_id: PydanticObjectId) -> str | None:
        """Returns a hash that differs between different requests with the same key; None without a key."""
        if self.idempotency_key is None:
            return None
        visits = [[str(each.slot_id), str(each.visit_type_id), each.reason] for each in self.visits]
        return hashlib.sha256(json.dumps([str(patient_id), visits]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class BookedBatch:
    """The appointments of a batch as they are stored, and whether an earlier request with the same key made them."""

    batch_id: PydanticObjectId
    documents: Sequence[Document]
    is_replay: bool = False


async def book_batch(caller: User, request: BatchRequest) -> BookedBatch:
    """Books all visits, or none. An error that is about one of them has its `index` in the request.

    A repeated request with the same key returns the appointments that the first one made, in their present state.
    Raises what `book` raises for each visit, `BatchUnderWay`, `BatchGivenBack` and `IdempotencyKeyReused`.
    """
    own, patient_id = await find_patient(caller, request.patient_id)
    if caller.role is Role.PATIENT and own is None:
        raise PatientNotFound
    batch = new_batch(caller, request, patient_id)
    try:
        prepared = await prepare_visits(caller, request, patient_id, own)
        await _begin(batch)
    except DomainError:
        if (earlier := await _find_earlier(caller, request, patient_id)) is not None:
            return earlier
        raise
    try:
        await take_visits(caller, batch, request, prepared)
    except DomainError:
        await give_back(batch)
        raise
    if not await repository.commit(batch.id):
        raise BatchGivenBack
    return BookedBatch(batch.id, await finish(batch))


async def prepare_visits(
    caller: User, request: BatchRequest, patient_id: PydanticObjectId, own: OwnPatient | None
) -> Sequence[PreparedBooking]:
    """Reads and checks all visits, also against each other. Writes nothing."""
    prepared: list[PreparedBooking] = []
    taken: set[int] = set()
    for index, visit in enumerate(request.visits):
        visit_type = await _naming(caller, index, visit, None, read_visit_type(visit.visit_type_id))
        found = await _naming(caller, index, visit, visit_type, prepare(caller, visit, patient_id, own, visit_type))
        if not taken.isdisjoint(found.run.ticks):
            overlap = PatientDoubleBooked("Two of these visits overlap.")
            overlap.index = index
            raise overlap
        taken.update(found.run.ticks)
        prepared.append(found)
    return prepared


def new_batch(caller: User, request: BatchRequest, patient_id: PydanticObjectId) -> Batch:
    """Returns an open batch, with the ids that its appointments will have."""
    now = utc_now()
    return Batch(
        appointment_ids=[PydanticObjectId() for _ in request.visits],
        created_by=caller.user_id,
        idempotency_key=request.idempotency_key,
        request_hash=request.digest(patient_id),
        created_at=now,
        due_at=now + ABANDONED,
    )


async def _begin(batch: Batch) -> None:
    try:
        await repository.insert(batch)
    except DuplicateKeyError:  # the index of idempotency keys
        raise BatchUnderWay from None


async def take_visits(caller: User, batch: Batch, request: BatchRequest, prepared: Sequence[PreparedBooking]) -> None:
    """Inserts the appointments of an open batch. Raises `BatchGivenBack` if the job was faster.

    All requests take their slots in the same order: of those that want the same ones, the first to take one wins.
    """
    for index in sorted(range(len(prepared)), key=lambda each: request.visits[each].slot_id):
        in_batch = partial(_in_batch, batch, batch.appointment_ids[index])
        try:
            booking = prepared[index]
            await _naming(caller, index, request.visits[index], booking.visit_type, take(booking, in_batch))
        except AppointmentChanged:
            raise BatchGivenBack from None


def _in_batch(batch: Batch, appointment_id: PydanticObjectId, document: Document) -> Document:
    """Returns a new appointment as it waits for the decision about its batch: nothing is sent, nothing falls due."""
    waiting = {name: value for name, value in document.items() if name != "remind_at"}
    return {**waiting, "_id": appointment_id, "open_batch_id": batch.id, "pending_messages": []}


async def _naming(
    caller: User, index: int, visit: BookingRequest, visit_type: VisitType | None, step: Awaitable[T]
) -> T:
    """Returns what a step of booking a visit returns. What it raises gets the visit's index, and alternatives."""
    try:
        return await step
    except PatientNotFound:
        raise
    except DomainError as refusal:
        refusal.index = index
        if isinstance(refusal, SlotUnavailable):
            await offer_alternatives(caller, refusal, visit, visit_type)
        raise


async def finish(batch: Batch) -> Sequence[Document]:
    """Books the appointments of a committed batch, whose messages are then pending; returns them. Safe to repeat."""
    now = utc_now()
    message = PendingMessage.about_time(0, kind=MessageKind.BOOKED, to=Recipient.PATIENT, now=now)
    await repository.book_all(batch, message, now=now)
    await repository.mark_finished(batch.id)
    await messages_pending.send(None)
    return await repository.find_appointments(batch)


async def give_back(batch: Batch) -> bool:
    """Gives back all that an open batch has taken, without a trace. Returns False if it was committed.

    Safe to repeat, and in several processes at once.
    """
    if not await repository.begin_giving_back(batch.id):
        return False
    for appointment_id in batch.appointment_ids:
        erased = await repository.erase(appointment_id, expires_at=utc_now() + _ID_STAYS_TAKEN)
        if erased is not None:
            was = Appointment.model_validate(erased)
            await seats_freed(before=was, after=was)
    await repository.delete(batch.id)
    return True


async def finish_batches() -> int:
    """A job: finishes the committed batches whose process died, and gives back the open ones. Returns how many."""
    done = 0
    while (batch := await repository.claim_due(now := utc_now(), again_at=now + ABANDONED)) is not None:
        if batch.state is BatchState.COMMITTED or not await give_back(batch):
            await finish(batch)
        done += 1
    return done


async def _find_earlier(caller: User, request: BatchRequest, patient_id: PydanticObjectId) -> BookedBatch | None:
    """Returns what the caller's earlier request with the same key booked; None if there is none.

    Raises `IdempotencyKeyReused`, `BatchUnderWay`, and `OutsideYourScope` if an appointment was rescheduled to where
    the caller can't see it.
    """
    key = request.idempotency_key
    if key is None or (earlier := await repository.find_by_key(caller.user_id, key)) is None:
        return None
    if earlier.request_hash != request.digest(patient_id):
        raise IdempotencyKeyReused
    if earlier.state is not BatchState.COMMITTED:
        raise BatchUnderWay
    documents = await repository.find_appointments(earlier) if earlier.due_at is None else await finish(earlier)
    scope = await visible_to(caller)
    for document in documents:
        if await appointments.find(document["_id"], scope=scope) is None:
            raise OutsideYourScope
    return BookedBatch(earlier.id, documents, is_replay=True)
