"""Routes that book and reschedule."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Response, status

from backend.accounts.access import ActingUser, CurrentUser, in_hat
from backend.accounts.documents import User
from backend.appointments import errors, lifecycle, transitions
from backend.appointments.booking.book import Booking, BookingRequest, book
from backend.appointments.booking.fit_in import FitInRequest, book_fit_in, reschedule_to_fit_in
from backend.appointments.booking.reschedule import reschedule
from backend.appointments.documents import ActorRole
from backend.appointments.routes import TRANSITION_ERRORS, respond
from backend.appointments.schemas import AppointmentOut, BookIn, RescheduleIn
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.directory.errors import ClinicNotFound, DoctorNotFound
from backend.directory.visit_types.errors import VisitTypeNotFound
from backend.patients.errors import PatientNotFound
from backend.scheduling import errors as scheduling
from backend.scheduling.errors import SlotNotFound

router = APIRouter(tags=["appointments"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text you choose. A repeated request with the same key returns the first one's appointment.",
    ),
]

SEAT_ERRORS = (
    SlotNotFound,
    errors.SlotTaken,
    errors.SlotNotOpen,
    errors.NotEnoughTime,
    errors.StaffOnly,
    lifecycle.NoticeTooShort,
    errors.VisitTypeNotOffered,
    errors.DayFull,
    errors.PatientDoubleBooked,
    errors.OutsideYourScope,
    errors.OwnSlot,
)
FIT_IN_ERRORS = (
    *(scheduling.NotTheDoctorsClinic, scheduling.StartNotAligned),
    *(scheduling.InThePast, scheduling.BeyondHorizon, scheduling.TimeNotAvailable, scheduling.ScheduleBusy),
)


@router.post(
    "/appointments",
    summary="Book an appointment",
    status_code=status.HTTP_201_CREATED,
    response_model=AppointmentOut,
    responses=responses(
        *(*SEAT_ERRORS, *FIT_IN_ERRORS, VisitTypeNotFound, errors.TooManyOpenBookings),
        *(DoctorNotFound, ClinicNotFound),
        *(PatientNotFound, errors.PatientRequired, errors.OwnAppointment, errors.IdempotencyKeyReused),
    ),
)
async def book_appointment(body: BookIn, caller: CurrentUser, idempotency_key: IdempotencyKey = None) -> Response:
    """Books a seat in a slot: patients for themselves, or with `patient_id` for another patient they act for; staff
    for a patient, and with `as_patient` as patients do. With `visit_type_id`, the visit starts with the slot and
    takes as many as it needs. A `409` about the slot offers the nearest free slots. With `overbook`, staff fit a
    patient in over taken time or after hours: at `start`, for so many `minutes`. With an `Idempotency-Key`, a
    repeated request returns the appointment of the first one, with the header `Idempotent-Replayed: true`."""
    caller = in_hat(caller, as_patient=body.as_patient)
    booking = await _book(caller, body, idempotency_key)
    headers = {"Location": f"/api/v1/appointments/{booking.document['_id']}"}
    if booking.is_replay:
        headers["Idempotent-Replayed"] = "true"
    content = AppointmentOut.json_for_role(ActorRole(caller.role.value), booking.document)
    return Response(content, status.HTTP_201_CREATED, headers, media_type="application/json")


async def _book(caller: User, body: BookIn, idempotency_key: str | None) -> Booking:
    if body.slot_id is not None:
        wanted = {name: getattr(body, name) for name in ("slot_id", "visit_type_id", "patient_id", "reason")}
        return await book(caller, BookingRequest(**wanted, idempotency_key=idempotency_key))
    wanted = body.model_dump(exclude={"slot_id", "overbook", "as_patient"})
    return await book_fit_in(caller, FitInRequest(**wanted, idempotency_key=idempotency_key))


@router.post(
    "/appointments/{appointment_id}/reschedule",
    summary="Reschedule an appointment",
    responses=responses(*TRANSITION_ERRORS, *SEAT_ERRORS, *FIT_IN_ERRORS, errors.SameSlot),
)
async def reschedule_appointment(appointment_id: Id, body: RescheduleIn, caller: ActingUser) -> AppointmentOut:
    """Reschedules to any doctor's open slot; a visit of some type to a doctor who offers it. Available until the
    start, for patients (until the visit type's notice before it), nurses and administrators; for the latter two also
    once the patient is checked in. If the new slot is taken, the appointment keeps its time. It is then `scheduled`
    and has to be confirmed again. With `overbook`, staff fit it in with the same doctor over taken time or after
    hours. A fit-in that is rescheduled to a slot is an ordinary appointment."""
    if body.slot_id is not None:
        change = partial(reschedule, caller=caller, to=body.slot_id)
    else:
        wanted = body.model_dump(include={"start", "minutes", "why"})
        change = partial(reschedule_to_fit_in, caller=caller, **wanted)
    changed = await transitions.change_appointment(caller, appointment_id, change, version=body.version)
    return await respond(caller, changed)
