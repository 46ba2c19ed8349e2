"""Routes of appointments."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, status

from backend.accounts.access import CurrentStaff, CurrentUser
from backend.accounts.documents import Role
from backend.appointments import errors, lifecycle, transitions
from backend.appointments.booking.book import BookingRequest, book, move
from backend.appointments.calendar import as_calendar
from backend.appointments.documents import ActorRole, Appointment, Status
from backend.appointments.permissions import Actor
from backend.appointments.queries import Filters, get_appointment, list_appointments, list_of_patient
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
from backend.core.http.errors import Forbidden, responses
from backend.core.http.fields import Id, Instant
from backend.core.http.pagination import BadCursor, Cursor, Limit, Page
from backend.directory.errors import PatientNotFound
from backend.scheduling.errors import SlotNotFound

router = APIRouter(tags=["appointments"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text of your own, the same for a repeated request: the repeat gets the first answer.",
    ),
]
Statuses = Annotated[list[Status] | None, Query(description="Repeat it for several.")]
Since = Annotated[Instant | None, Query(alias="from", description="Starting at this moment or later.")]
Until = Annotated[Instant | None, Query(alias="to", description="Starting before this moment.")]
Descending = Annotated[bool, Query(description="Latest start first.")]

TRANSITION_ERRORS = (
    errors.AppointmentNotFound,
    lifecycle.InvalidTransition,
    lifecycle.TooEarly,
    lifecycle.TooLate,
    errors.AppointmentChanged,
    lifecycle.TransitionForbidden,
)
SEAT_ERRORS = (
    SlotNotFound,
    errors.SlotTaken,
    errors.SlotNotOpen,
    errors.DayFull,
    errors.PatientDoubleBooked,
    errors.OutsideYourScope,
)


def _shown(caller: CurrentUser, appointment: Appointment) -> AppointmentOut:
    return AppointmentOut.seen_by(ActorRole(caller.role.value), appointment)


@router.post(
    "/appointments",
    summary="Book an appointment",
    status_code=status.HTTP_201_CREATED,
    response_model=AppointmentOut,
    responses=responses(*SEAT_ERRORS, PatientNotFound, errors.PatientRequired, errors.IdempotencyKeyReused),
)
async def book_appointment(
    body: BookIn, caller: CurrentUser, idempotency_key: IdempotencyKey = None
) -> Response:
    """Books a seat in a slot: patients for themselves, the staff for a patient. A `409` names the doctor's next free
    slots. With an `Idempotency-Key`, a repeated request gets the appointment that the first one made, and the
    header `Idempotent-Replayed: true`."""
    request = BookingRequest(
        slot_id=body.slot_id,
        patient_id=body.patient_id,
        reason=body.reason,
        idempotency_key=idempotency_key,
    )
    booking = await book(caller, request)
    headers = {"Location": f"/api/v1/appointments/{booking.document['_id']}"}
    if booking.is_replay:
        headers["Idempotent-Replayed"] = "true"
    shown = AppointmentOut.json_seen_by(ActorRole(caller.role.value), booking.document)
    return Response(shown, status.HTTP_201_CREATED, headers, media_type="application/json")


@router.get(
    "/appointments",
    summary="List appointments",
    response_model=Page[AppointmentRow],
    responses=responses(BadCursor),
)
async def list_my_appointments(
    caller: CurrentUser,
    status: Statuses = None,
    since: Since = None,
    until: Until = None,
    doctor_id: Annotated[Id | None, Query()] = None,
    patient_id: Annotated[Id | None, Query()] = None,
    clinic_id: Annotated[Id | None, Query()] = None,
    descending: Descending = False,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """By start. Patients see their own, doctors theirs, nurses those of their clinics, administrators all; filters
    narrow that further and never widen it."""
    filters = Filters(
        status=tuple(status or ()),
        since=since,
        until=until,
        doctor_id=doctor_id,
        patient_id=patient_id,
        clinic_id=clinic_id,
    )
    return await list_appointments(caller, filters, limit=limit, cursor=cursor, newest_first=descending)


@router.get(
    "/patients/{patient_id}/appointments",
    summary="A patient's appointments",
    response_model=Page[AppointmentRow],
    responses=responses(PatientNotFound, BadCursor),
)
async def list_patient_appointments(
    patient_id: Id,
    caller: CurrentUser,
    status: Statuses = None,
    descending: Descending = False,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Response:
    """Those of one patient that the caller may see. A patient may ask only for his own."""
    return await list_of_patient(
        caller,
        patient_id,
        status=tuple(status or ()),
        limit=limit,
        cursor=cursor,
        newest_first=descending,
    )


@router.get(
    "/appointments/{appointment_id}",
    summary="Read an appointment",
    responses=responses(errors.AppointmentNotFound),
)
async def get_appointment_by_id(appointment_id: Id, caller: CurrentUser) -> AppointmentOut:
    """With its history: every step, when and by whom."""
    return _shown(caller, await get_appointment(caller, appointment_id))


@router.patch(
    "/appointments/{appointment_id}",
    summary="Change the reason or the notes",
    responses=responses(Forbidden, errors.AppointmentNotFound, errors.AppointmentChanged),
)
async def update_appointment(
    appointment_id: Id, body: AppointmentPatch, caller: CurrentUser
) -> AppointmentOut:
    """A field that is left out stays; null clears it. `notes` are the staff's own: 403 for patients."""
    fields = body.model_dump(exclude_unset=True, exclude={"version"})
    if "notes" in fields and caller.role is Role.PATIENT:
        raise Forbidden("Only the staff may write notes.")
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    return _shown(caller, await transitions.annotate(appointment, fields))


@router.post(
    "/appointments/{appointment_id}/confirm", summary="Confirm", responses=responses(*TRANSITION_ERRORS)
)
async def confirm_appointment(
    appointment_id: Id, caller: CurrentUser, body: TransitionIn | None = None
) -> AppointmentOut:
    """The patient will come. From three hours before the start (the clinic's policy) until the start; by the patient,
    a nurse or an administrator on the patient's word, never by the doctor."""
    appointment = await get_appointment(caller, appointment_id, version=body.version if body else None)
    return _shown(caller, await transitions.confirm(appointment, Actor.of(caller)))


@router.post(
    "/appointments/{appointment_id}/cancel", summary="Cancel", responses=responses(*TRANSITION_ERRORS)
)
async def cancel_appointment(
    appointment_id: Id, caller: CurrentUser, body: CancelIn | None = None
) -> AppointmentOut:
    """Before the start. The time is free for others at once."""
    body = body or CancelIn()
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    return _shown(caller, await transitions.cancel(appointment, Actor.of(caller), reason=body.reason))


@router.post(
    "/appointments/{appointment_id}/reschedule",
    summary="Move to another slot",
    responses=responses(*TRANSITION_ERRORS, *SEAT_ERRORS, errors.SameSlot),
)
async def reschedule_appointment(
    appointment_id: Id, body: RescheduleIn, caller: CurrentUser
) -> AppointmentOut:
    """Before the start, by the patient, a nurse or an administrator; any doctor's open slot will do. If the new slot
    is taken, the appointment stays where it was. It is scheduled again, and wants confirming anew."""
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    return _shown(caller, await move(appointment, caller, to=body.slot_id))


@router.post(
    "/appointments/{appointment_id}/check-in", summary="Check in", responses=responses(*TRANSITION_ERRORS)
)
async def check_in_appointment(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """The patient is there. From 60 minutes before the start (the clinic's policy) to the end; by the staff."""
    appointment = await get_appointment(caller, appointment_id, version=body.version if body else None)
    return _shown(caller, await transitions.check_in(appointment, Actor.of(caller)))


@router.post(
    "/appointments/{appointment_id}/complete", summary="Complete", responses=responses(*TRANSITION_ERRORS)
)
async def complete_appointment(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """The visit is over. After check-in, from the start on; by the doctor or an administrator."""
    appointment = await get_appointment(caller, appointment_id, version=body.version if body else None)
    return _shown(caller, await transitions.complete(appointment, Actor.of(caller)))


@router.post(
    "/appointments/{appointment_id}/no-show",
    summary="Mark as no-show",
    responses=responses(*TRANSITION_ERRORS),
)
async def mark_no_show(
    appointment_id: Id, caller: CurrentStaff, body: TransitionIn | None = None
) -> AppointmentOut:
    """Nobody came. From the start on, by the staff; by the system 15 minutes after it (the clinic's policy)."""
    appointment = await get_appointment(caller, appointment_id, version=body.version if body else None)
    return _shown(caller, await transitions.no_show(appointment, Actor.of(caller)))


@router.post(
    "/appointments/{appointment_id}/correct-no-show",
    summary="Correct a no-show",
    responses=responses(*TRANSITION_ERRORS, errors.PatientDoubleBooked, errors.NotACorrection),
)
async def correct_no_show(appointment_id: Id, body: CorrectIn, caller: CurrentStaff) -> AppointmentOut:
    """The patient was there after all. To `checked_in` by any staff until 24 hours after the end, or to `completed`
    by the doctor or an administrator. A check-in by itself never undoes a no-show."""
    appointment = await get_appointment(caller, appointment_id, version=body.version)
    return _shown(caller, await transitions.correct_no_show(appointment, Actor.of(caller), to=body.status))


@router.get(
    "/appointments/{appointment_id}/calendar.ics",
    summary="As a calendar file",
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
    """For the patient's own calendar. It says with whom and where, never why."""
    appointment = await get_appointment(caller, appointment_id)
    return Response(
        as_calendar(appointment),
        media_type="text/calendar",
        headers={"Content-Disposition": 'attachment; filename="appointment.ics"'},
    )
