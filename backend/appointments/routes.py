"""Routes of appointments."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status

from backend.accounts.access import CurrentStaff, CurrentUser, is_staff
from backend.accounts.documents import Role, User
from backend.appointments import errors, lifecycle, transitions
from backend.appointments.booking.book import Booking, BookingRequest, book
from backend.appointments.booking.fit_in import FitInRequest, book_fit_in, reschedule_to_fit_in
from backend.appointments.booking.reschedule import reschedule
from backend.appointments.calendar import as_calendar
from backend.appointments.documents import ActorRole, Appointment, Status
from backend.appointments.permissions import Actor
from backend.appointments.queries import (
    Filters,
    get_appointment,
    language_of_clinic,
    list_appointments,
    list_of_patient,
    telehealth_url_for,
)
from backend.appointments.schemas import (
    AppointmentOut,
    AppointmentPatch,
    AppointmentRow,
    BookIn,
    CancelIn,
    CorrectIn,
    RescheduleIn,
    TransitionIn,
)
from backend.core.clock import utc_now
from backend.core.http.errors import Forbidden, responses
from backend.core.http.fields import Id
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.core.http.time_range import Since, TimeRange, Until
from backend.directory.clinics import get_clinic
from backend.directory.errors import ClinicNotFound, DoctorNotFound
from backend.directory.visit_types.errors import VisitTypeNotFound
from backend.patients.errors import PatientNotFound
from backend.patients.merging.resolving import records_of
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
Statuses = Annotated[tuple[Status, ...] | None, Query(description="Repeat the parameter for several statuses.")]
NeedsDecision = Annotated[
    bool, Query(description="Only those whose time was withdrawn and about which nobody has decided.")
]
Descending = Annotated[bool, Query(description="List the latest start first.")]

TRANSITION_ERRORS = (
    errors.AppointmentNotFound,
    lifecycle.InvalidTransition,
    lifecycle.DecisionNeeded,
    lifecycle.TooEarly,
    lifecycle.TooLate,
    errors.AppointmentChanged,
    lifecycle.TransitionForbidden,
)
_NOTICE = responses(*TRANSITION_ERRORS, lifecycle.NoticeTooShort)
_TRANSITION = responses(*TRANSITION_ERRORS)
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
)


FIT_IN_ERRORS = (
    *(scheduling.NotTheDoctorsClinic, scheduling.StartNotAligned),
    *(scheduling.InThePast, scheduling.BeyondHorizon, scheduling.TimeNotAvailable, scheduling.ScheduleBusy),
)


async def _response(caller: CurrentUser, appointment: Appointment) -> AppointmentOut:
    role, clinic = ActorRole(caller.role.value), await get_clinic(appointment.clinic_id)
    actions = lifecycle.allowed_actions(appointment, role=role, now=utc_now(), rules=clinic.rules)
    return AppointmentOut.for_role(role, appointment, actions)


async def _make(
    transition: Callable[[Appointment, Actor], Awaitable[Appointment]],
    appointment_id: Id,
    caller: CurrentUser,
    body: TransitionIn | None,
) -> AppointmentOut:
    appointment = await get_appointment(caller, appointment_id, version=body.version if body else None)
    return await _response(caller, await transition(appointment, Actor.of(caller)))


@router.post(
    "/appointments",
    summary="Book an appointment",
    status_code=status.HTTP_201_CREATED,
    response_model=AppointmentOut,
    responses=responses(
        *(*SEAT_ERRORS, *FIT_IN_ERRORS, VisitTypeNotFound, errors.TooManyOpenBookings),
        *(DoctorNotFound, ClinicNotFound),
        *(PatientNotFound, errors.PatientRequired, errors.IdempotencyKeyReused),
    ),
)
async def book_appointment(body: BookIn, caller: CurrentUser, idempotency_key: IdempotencyKey = None) -> Response:
    """Books a seat in a slot: patients for themselves, or with `patient_id` for another patient they act for; staff
    for a patient. With `visit_type_id`, the visit starts with the slot and takes as many as it needs. A `409` about
    the slot offers the nearest free slots. With `overbook`, staff fit a patient in over taken time or after hours: at
    `start`, for so many `minutes`. With an `Idempotency-Key`, a repeated request returns the appointment that the
    first one made, with the header `Idempotent-Replayed: true`."""
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
    wanted = body.model_dump(exclude={"slot_id", "overbook"})
    return await book_fit_in(caller, FitInRequest(**wanted, idempotency_key=idempotency_key))


@router.get(
    "/appointments",
    summary="List appointments",
    response_model=Page[AppointmentRow],
    responses=responses(BadCursor, Forbidden),
)
async def list_my_appointments(
    caller: CurrentUser,
    page: RequestedPage,
    since: Since = None,
    until: Until = None,
    status: Statuses = None,
    doctor_id: Annotated[Id | None, Query()] = None,
    patient_id: Annotated[Id | None, Query()] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    needs_decision: NeedsDecision = False,
    descending: Descending = False,
) -> Response:
    """Sorted by start. Patients and doctors see their own appointments, nurses those of their clinics, administrators
    all. Filters narrow this further. Patients can't ask for `needs_decision`."""
    if needs_decision and caller.role is Role.PATIENT:
        raise Forbidden("Only staff can filter by `needs_decision`.")
    filters = Filters(
        status=status or (),
        times=TimeRange(start=since, end=until),
        doctor_id=doctor_id,
        patient_ids=await records_of(patient_id) if patient_id else (),
        clinic_id=clinic_id,
        needs_decision=needs_decision,
    )
    return await list_appointments(caller, filters, page, newest_first=descending)


@router.get(
    "/patients/{patient_id}/appointments",
    summary="List a patient's appointments",
    response_model=Page[AppointmentRow],
    responses=responses(PatientNotFound, BadCursor),
)
async def list_patient_appointments(
    patient_id: Id,
    caller: CurrentUser,
    page: RequestedPage,
    status: Statuses = None,
    descending: Descending = False,
) -> Response:
    """Sorted by start. Patients can list only their own appointments; nurses see those at their clinics, doctors
    those with themselves."""
    return await list_of_patient(caller, patient_id, page, status=status or (), newest_first=descending)


@router.get(
    "/appointments/{appointment_id}",
    summary="Get an appointment",
    responses=responses(errors.AppointmentNotFound),
)
async def get_appointment_by_id(appointment_id: Id, caller: CurrentUser) -> AppointmentOut:
    """Includes its history, every transition and edit with who made it and when, and the actions that the caller can
    take."""
    appointment = await get_appointment(caller, appointment_id)
    out = await _response(caller, appointment)
    out.telehealth_url = await telehealth_url_for(caller, appointment)
    return out


@router.patch(
    "/appointments/{appointment_id}",
    summary="Change the reason or the notes",
    responses=responses(Forbidden, errors.AppointmentNotFound, errors.AppointmentChanged),
)
async def update_appointment(appointment_id: Id, body: AppointmentPatch, caller: CurrentUser) -> AppointmentOut:
    """A field that is left out stays as it is; null clears it. Patients can't change `notes`."""
    fields = body.model_dump(exclude_unset=True, exclude={"version"})
    if "notes" in fields and caller.role is Role.PATIENT:
        raise Forbidden("Only staff can change `notes`.")
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    return await _response(caller, await transitions.annotate(appointment, Actor.of(caller), fields))


@router.post("/appointments/{appointment_id}/confirm", summary="Confirm an appointment", responses=_TRANSITION)
async def confirm_appointment(
    appointment_id: Id, caller: CurrentUser, body: TransitionIn | None = None
) -> AppointmentOut:
    """Records that the patient will come. Available from three hours before the start (the clinic's policy), or
    from when the patient was asked, until the start. Patients, nurses and administrators can confirm; doctors
    can't."""
    return await _make(transitions.confirm, appointment_id, caller, body)


@router.post("/appointments/{appointment_id}/cancel", summary="Cancel an appointment", responses=_NOTICE)
async def cancel_appointment(appointment_id: Id, caller: CurrentUser, body: CancelIn | None = None) -> AppointmentOut:
    """Available until the start; to patients until the visit type's notice before it, to staff also once the patient
    is checked in. Others can book the time at once."""
    cancel = partial(transitions.cancel, reason=body.reason if body else None)
    return await _make(cancel, appointment_id, caller, body)


@router.post(
    "/appointments/{appointment_id}/reschedule",
    summary="Reschedule an appointment",
    responses=responses(*TRANSITION_ERRORS, *SEAT_ERRORS, *FIT_IN_ERRORS, errors.SameSlot),
)
async def reschedule_appointment(appointment_id: Id, body: RescheduleIn, caller: CurrentUser) -> AppointmentOut:
    """Reschedules to any doctor's open slot; a visit of some type to a doctor who offers it. Available until the
    start, for patients (until the visit type's notice before it), nurses and administrators; for the latter two also
    once the patient is checked in. If the new slot is taken, the appointment keeps its time. It is then `scheduled`
    and has to be confirmed again. With `overbook`, staff fit it in with the same doctor over taken time or after
    hours. A fit-in that is rescheduled to a slot is an ordinary appointment."""
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    if body.slot_id is not None:
        return await _response(caller, await reschedule(appointment, caller, to=body.slot_id))
    wanted = body.model_dump(include={"start", "minutes", "why"})
    return await _response(caller, await reschedule_to_fit_in(appointment, caller, **wanted))


@router.post(
    "/appointments/{appointment_id}/keep",
    summary="Keep an appointment whose time was withdrawn",
    responses=responses(*TRANSITION_ERRORS, errors.NoDecisionNeeded),
)
async def keep_appointment(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """Decides that the visit takes place in spite of the leave, closure or change that withdrew its time. Its status
    stays, and it no longer needs a decision. Available to staff."""
    return await _make(transitions.keep, appointment_id, caller, body)


@router.post("/appointments/{appointment_id}/check-in", summary="Check a patient in", responses=_TRANSITION)
async def check_in_appointment(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """Records that the patient has arrived. Available to staff from 60 minutes before the start (the clinic's policy)
    until the end."""
    return await _make(transitions.check_in, appointment_id, caller, body)


@router.post("/appointments/{appointment_id}/undo-check-in", summary="Undo a check-in", responses=_TRANSITION)
async def undo_check_in(appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None) -> AppointmentOut:
    """Takes back a check-in by mistake. The appointment is again what it was: `scheduled`, `confirmed`, or `no_show`
    if a correction had checked the patient in. Available to staff until 24 hours after the end. Sends no message."""
    return await _make(transitions.undo_check_in, appointment_id, caller, body)


@router.post(
    "/appointments/{appointment_id}/left", summary="Record that a patient left unseen", responses=_TRANSITION
)
async def mark_left(appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None) -> AppointmentOut:
    """Records that a patient who was checked in left without being seen. Available to staff. Ends the appointment;
    it isn't a no-show. Sends no message."""
    return await _make(transitions.left, appointment_id, caller, body)


@router.post("/appointments/{appointment_id}/complete", summary="Complete a visit", responses=_TRANSITION)
async def complete_appointment(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """Records that the visit is over. Available after check-in, from the start, to the doctor and administrators."""
    return await _make(transitions.complete, appointment_id, caller, body)


@router.post("/appointments/{appointment_id}/no-show", summary="Mark a no-show", responses=_TRANSITION)
async def mark_no_show(appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None) -> AppointmentOut:
    """Records that the patient didn't come. Available to staff from the start. The system does it by itself 15
    minutes after the start (the clinic's policy)."""
    return await _make(transitions.no_show, appointment_id, caller, body)


@router.post(
    "/appointments/{appointment_id}/correct-no-show",
    summary="Correct a no-show",
    responses=responses(*TRANSITION_ERRORS, errors.PatientDoubleBooked, errors.NotACorrection),
)
async def correct_no_show(appointment_id: Id, body: CorrectIn, caller: CurrentStaff) -> AppointmentOut:
    """Records that the patient was there after all. Staff can correct to `checked_in` until 24 hours after the end;
    the doctor and administrators can correct to `completed` at any time."""
    return await _make(partial(transitions.correct_no_show, to=body.status), appointment_id, caller, body)


@router.get(
    "/appointments/{appointment_id}/calendar.ics",
    summary="Get a calendar file",
    response_class=Response,
    responses={
        200: {
            "content": {"text/calendar": {}},
            "description": "An iCalendar file (RFC 5545) with one event.",
        },
        **responses(errors.AppointmentNotFound),
    },
)
async def get_appointment_calendar(appointment_id: Id, caller: CurrentUser) -> Response:
    """The event names the doctor and the clinic, but not the reason for the visit."""
    appointment = await get_appointment(caller, appointment_id)
    headers = {"Content-Disposition": 'attachment; filename="appointment.ics"'}
    language = caller.language or await language_of_clinic(appointment)
    content = as_calendar(appointment, language, for_staff=is_staff(caller))
    return Response(content, media_type="text/calendar", headers=headers)
