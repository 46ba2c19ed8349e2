"""Routes of messages: the log, and the staff's call list."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.accounts.access import CurrentAdmin, CurrentStaff
from backend.appointments.errors import AppointmentNotFound
from backend.appointments.queries import get_appointment
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.core.http.pagination import BadCursor, Page, RequestedPage
from backend.core.http.time_range import Since, TimeRange, Until
from backend.messaging import message_lists
from backend.messaging.documents import SmsKind, SmsStatus
from backend.messaging.errors import CallNotFound
from backend.messaging.schemas import CallListEntryOut, SmsLogOut

router = APIRouter(tags=["messages"])


@router.get("/call-list", summary="List patients to call", responses=responses(BadCursor))
async def list_calls(caller: CurrentStaff, page: RequestedPage) -> Page[CallListEntryOut]:
    """Lists patients to call, newest entry first: a message didn't reach them, or we didn't understand their reply.

    `reason` says why.

    Doctors see their own patients, nurses those of their clinics, administrators all.
    """
    return await message_lists.list_calls(caller, page)


@router.post("/call-list/{entry_id}/resolve", summary="Mark a call as made", responses=responses(CallNotFound))
async def resolve_call(entry_id: Id, caller: CurrentStaff) -> CallListEntryOut:
    """Takes the patient off the call list: somebody has called them, or a call is no longer needed."""
    return await message_lists.resolve_call(caller, entry_id)


@router.get("/sms-logs", summary="List messages", responses=responses(BadCursor))
async def list_sms_logs(
    caller: CurrentAdmin,
    page: RequestedPage,
    since: Since = None,
    until: Until = None,
    patient_id: Annotated[Id | None, Query()] = None,
    appointment_id: Annotated[Id | None, Query()] = None,
    kind: Annotated[SmsKind | None, Query(description="Only messages of this kind.")] = None,
    status: Annotated[SmsStatus | None, Query(description="Only messages with this status.")] = None,
) -> Page[SmsLogOut]:
    """Lists messages that were sent or received, newest first, by the time they were created. For administrators."""
    return await message_lists.list_logs(
        page,
        patient_id=patient_id,
        appointment_id=appointment_id,
        kind=kind,
        status=status,
        times=TimeRange(start=since, end=until),
    )


@router.get(
    "/appointments/{appointment_id}/messages",
    summary="List an appointment's messages",
    responses=responses(AppointmentNotFound, BadCursor),
)
async def list_appointment_messages(appointment_id: Id, caller: CurrentStaff, page: RequestedPage) -> Page[SmsLogOut]:
    """Lists the messages and replies about one appointment, newest first. For its staff."""
    appointment = await get_appointment(caller, appointment_id)
    return await message_lists.list_logs(page, appointment_id=appointment.appointment_id)
