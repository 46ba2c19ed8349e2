"""Fit-ins: the staff book over taken time, or after hours. One insert; then what may have withdrawn the time is read.

The insert holds `recheck_at`. Once the facts were read again, a second update removes it. If the process dies in
between, the job `finish_fit_ins` reads them: see `scheduling/fit_ins`.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from beanie import PydanticObjectId
from pymongo.errors import DuplicateKeyError

from backend.accounts.documents import Role, User
from backend.appointments import errors, repository
from backend.appointments.booking.book import Booking, find_earlier
from backend.appointments.booking.document import FitInSeats, fit_in_fields, new_appointment
from backend.appointments.booking.reschedule import type_of, write_new_time
from backend.appointments.booking.rules import check_notice, check_rules
from backend.appointments.booking.seat_allocation import choose_seat, seats_freed
from backend.appointments.documents import Appointment, TransitionName
from backend.appointments.events import messages_pending
from backend.appointments.lifecycle import TRANSITIONS, check
from backend.appointments.permissions import Actor, check_may_book
from backend.core.clock import utc_now
from backend.core.http.errors import DomainError
from backend.core.mongo.updates import breaks_index_on
from backend.directory.clinics import get_clinic
from backend.directory.visit_types.documents import VisitType
from backend.directory.visit_types.service import read_visit_type
from backend.patients.merging.resolving import surviving_id
from backend.patients.records import get_patient
from backend.scheduling import repository as scheduling
from backend.scheduling.availability_inputs import read_schedule
from backend.scheduling.errors import ScheduleBusy
from backend.scheduling.fit_ins import (
    LEFT_AFTER,
    FitInPlace,
    find_slots_in_time,
    give_freed_seats,
    mark_if_withdrawn,
    place_at,
)
from backend.scheduling.slots.runs import Visit, is_offered_in

T = TypeVar("T")
Document = dict[str, Any]

_MOST_ATTEMPTS = 50
"""Somebody else has to take a seat each time: more than a slot has seats is never needed for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitInRequest:
    """What the staff want to fit in, and why. Start UTC, length in minutes."""

    doctor_id: PydanticObjectId
    clinic_id: PydanticObjectId
    start: datetime
    minutes: int
    why: str
    patient_id: PydanticObjectId | None = None
    visit_type_id: PydanticObjectId | None = None
    reason: str | None = None
    idempotency_key: str | None = None

    def digest(self, patient_id: PydanticObjectId) -> str | None:
        """Returns a hash that differs between different requests with the same key; None without a key."""
        if self.idempotency_key is None:
            return None
        place = [str(self.doctor_id), str(self.clinic_id), self.start.isoformat(), self.minutes]
        text = json.dumps([*place, str(self.visit_type_id), str(patient_id), self.reason, self.why])
        return hashlib.sha256(text.encode()).hexdigest()


async def book_fit_in(caller: User, request: FitInRequest) -> Booking:
    """Books a visit over taken time or after hours. Only the patient's own time is a limit, not the doctor's day.

    A repeated request with the same key returns the appointment that the first one made, in its present state.
    Raises `StaffOnly`, `PatientRequired`, `DoctorNotFound`, `ClinicNotFound`, `OutsideYourScope`, `PatientNotFound`,
    `VisitTypeNotFound`, `VisitTypeNotOffered`, `PatientDoubleBooked`, `IdempotencyKeyReused`, and the errors of
    `place_at`.
    """
    if caller.role is Role.PATIENT:
        raise errors.StaffOnly
    patient_id = request.patient_id
    if patient_id is None:
        raise errors.PatientRequired
    try:
        document = await _book(caller, request, await surviving_id(patient_id))
    except DomainError:
        earlier = await find_earlier(caller, request, patient_id)
        if earlier is not None:
            return Booking(earlier, is_replay=True)
        raise
    await messages_pending.send(None)
    return Booking(document)


async def _book(caller: User, request: FitInRequest, patient_id: PydanticObjectId) -> Document:
    place = await _read_place(caller, request)
    patient = await get_patient(patient_id, where={"is_active": True})
    visit_type = await read_visit_type(request.visit_type_id)
    if visit_type is not None:
        _check_offered(place, visit_type)
    now, digest = utc_now(), request.digest(patient_id)
    terms = await check_rules(caller, visit_type, patient_id=patient_id, start=place.start, now=now)

    async def insert(seats: FitInSeats) -> Document:
        document = new_appointment(
            fit_in_fields(place, seats, visit_type, why=request.why, recheck_at=now + LEFT_AFTER),
            patient_id=patient_id,
            patient_name=patient.name,
            actor=Actor.of(caller),
            reason=request.reason,
            idempotency_key=request.idempotency_key,
            request_hash=digest,
            now=now,
            exempt_from=terms.exempt_from,
        )
        await repository.insert(document)
        return document

    try:
        document = await _with_seats(place, patient_id, insert)
    except DuplicateKeyError:
        # The index of idempotency keys: the same request was made before, or is being made at this moment.
        raise errors.AppointmentChanged from None
    return await _recheck(document)


async def _read_place(caller: User, request: FitInRequest) -> FitInPlace:
    """Returns the place of a new fit-in. Who may not book there doesn't learn whether the doctor is away."""
    schedule = await read_schedule(request.doctor_id, now=utc_now())
    await get_clinic(request.clinic_id)
    check_may_book(caller, request)
    return place_at(schedule, request.clinic_id, start=request.start, minutes=request.minutes)


def _check_offered(place: FitInPlace, visit_type: VisitType) -> None:
    offered_by = {name: getattr(place, name) for name in ("doctor_id", "clinic_id", "department_id")}
    if not is_offered_in(offered_by, Visit.of(visit_type)):
        raise errors.VisitTypeNotOffered


async def reschedule_to_fit_in(
    appointment: Appointment, caller: User, *, start: datetime, minutes: int, why: str
) -> Appointment:
    """Reschedules an appointment over taken time or after hours of the same doctor. Start UTC, length in minutes.

    Raises `StaffOnly`, `SameSlot`, `PatientDoubleBooked`, `AppointmentChanged`, the errors of `lifecycle.check` and
    those of `place_at`.
    """
    if caller.role is Role.PATIENT:
        raise errors.StaffOnly
    now, clinic = utc_now(), await get_clinic(appointment.clinic_id)
    check(
        TRANSITIONS[TransitionName.RESCHEDULE], appointment, role=Actor.of(caller).role, now=now, rules=clinic.rules
    )
    schedule = await read_schedule(appointment.doctor_id, now=now)
    place = place_at(schedule, appointment.clinic_id, start=start, minutes=minutes)
    if (place.start, place.end) == (appointment.start, appointment.end):
        raise errors.SameSlot
    visit_type = await type_of(appointment)
    exempt_from = check_notice(caller, visit_type, start, now) if visit_type else []

    async def update(seats: FitInSeats) -> Appointment:
        fields = fit_in_fields(place, seats, visit_type, why=why, recheck_at=now + LEFT_AFTER)
        return await write_new_time(appointment, caller, fields, exempt_from=exempt_from)

    rescheduled = await _with_seats(place, appointment.patient_id, update, rescheduled=appointment)
    await seats_freed(before=appointment, after=rescheduled)
    checked = await _recheck(rescheduled.model_dump(by_alias=True))
    await messages_pending.send(None)
    found: Appointment = Appointment.model_validate(checked)
    return found


async def _with_seats(
    place: FitInPlace,
    patient_id: PydanticObjectId,
    write: Callable[[FitInSeats], Awaitable[T]],
    *,
    rescheduled: Appointment | None = None,
) -> T:
    """Calls `write` with a seat in each open slot of the time that has a free one, until the indexes accept them.

    The seats of `rescheduled`, the appointment that moves there, count as free. Raises `PatientDoubleBooked`, and
    `ScheduleBusy` if others take the seats again and again.
    """
    for _ in range(_MOST_ATTEMPTS):
        seats = await _choose_seats(place, patient_id, rescheduled)
        try:
            written = await write(seats)
        except DuplicateKeyError as error:
            if breaks_index_on(error, "ticks"):
                raise errors.PatientDoubleBooked from None
            if not breaks_index_on(error, "seats.slot"):
                raise
        else:
            if seats.overbooked_slots:
                # From now on, who leaves such a slot gives the seat to the fit-in: see `seats_freed`. Who has left it
                # a moment ago didn't know of the fit-in.
                await scheduling.set_clears_full_hint(seats.overbooked_slots, set())
                await give_freed_seats(seats.overbooked_slots)
            return written
    raise ScheduleBusy


async def _choose_seats(
    place: FitInPlace, patient_id: PydanticObjectId, rescheduled: Appointment | None
) -> FitInSeats:
    slots = await find_slots_in_time(place)
    claims = await scheduling.find_claims([slot.id for slot in slots], of_doctors_day=None) if slots else []
    own_id = rescheduled.id if rescheduled else None
    held = [each for claim in claims if claim["_id"] != own_id for each in claim["seats"]]
    found = FitInSeats([], [])
    for slot in slots:
        seat = choose_seat(slot, held, patient_id)
        if seat is None:
            found.overbooked_slots.append(slot.id)
        else:
            found.held.append({"slot": slot.id, "seat": seat, "reserved": seat})
    return found


async def _recheck(stored: Document) -> Document:
    """Reads again what may have withdrawn the time of a fit-in. Returns it as it is then.

    If others keep changing the doctor's slots, the job does it later.
    """
    try:
        await mark_if_withdrawn(stored["_id"])
    except ScheduleBusy:
        return stored
    return await repository.end_recheck(stored["_id"], reschedule_count=stored["reschedule_count"]) or stored


async def finish_fit_ins() -> int:
    """A job: reads again what may have withdrawn the time of fit-ins whose process died before it did.

    Returns how many. Any number of processes may run it at once: each fit-in is claimed by one conditional update.
    """
    finished = 0
    while (left := await repository.claim_recheck(now := utc_now(), again_at=now + LEFT_AFTER)) is not None:
        await _recheck(left)
        finished += 1
    return finished
