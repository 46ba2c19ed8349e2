"""Routes that join a record which staff entered to an account, by proof."""

from fastapi import APIRouter, status

from backend.accounts.access import CurrentUser, FrontDesk
from backend.accounts.errors import CodeInvalid, NoPhone
from backend.accounts.login.routes_codes import CODE_REQUESTED
from backend.accounts.responses import CodeRequestedOut
from backend.core.http.errors import TooManyRequests, responses
from backend.core.http.fields import Id
from backend.patients.errors import (
    CircularLink,
    InvitationInvalid,
    LinkExists,
    PatientNotFound,
    RecordNotMatched,
    SelfLinkExists,
)
from backend.patients.links import joining
from backend.patients.merging.errors import AlreadyMerged, MergeUnderWay, MergeWithItself, PatientInactive
from backend.patients.responses import InvitationOut, PatientOut, with_opt_out
from backend.patients.schemas import InvitationCode, JoinByPhone, NewInvitation

me_router = APIRouter(prefix="/users/me/patients", tags=["me"])
router = APIRouter(prefix="/patients", tags=["patients"])

_JOIN_ERRORS = (
    *(LinkExists, SelfLinkExists, CircularLink),
    *(MergeWithItself, AlreadyMerged, MergeUnderWay, PatientInactive),
)


@me_router.post(
    "/join/code",
    summary="Request a code to join a record",
    status_code=status.HTTP_202_ACCEPTED,
    responses=responses(NoPhone, TooManyRequests),
)
async def request_joining_code(caller: CurrentUser) -> CodeRequestedOut:
    """Sends a code by SMS to the caller's phone, for `POST /users/me/patients/join`.

    It is sent whether or not the clinic has a record with this phone. After five in an hour the response is 429.
    """
    await joining.send_joining_code(caller)
    return CODE_REQUESTED


@me_router.post(
    "/join", summary="Join a record by phone", responses=responses(CodeInvalid, RecordNotMatched, *_JOIN_ERRORS)
)
async def join_record(body: JoinByPhone, caller: CurrentUser) -> PatientOut:
    """Joins the record with the caller's phone and this date of birth to the account.

    With the relation `self` the account's own record is merged into it, appointments included. A code works once.
    """
    joined = await joining.join_by_phone(
        caller, code=body.code, date_of_birth=body.date_of_birth, relation=body.relation
    )
    return await with_opt_out(PatientOut.model_validate(joined))


@me_router.post(
    "/redeem",
    summary="Redeem an invitation",
    responses=responses(InvitationInvalid, TooManyRequests, *_JOIN_ERRORS),
)
async def redeem_invitation(body: InvitationCode, caller: CurrentUser) -> PatientOut:
    """Joins the record that an invitation of the clinic is about to the account. It works for one account."""
    return await with_opt_out(PatientOut.model_validate(await joining.redeem_invitation(caller, body.code)))


@router.post("/{patient_id}/invitations", summary="Invite a patient", responses=responses(PatientNotFound))
async def invite_patient(patient_id: Id, body: NewInvitation, caller: FrontDesk) -> InvitationOut:
    """Makes a code to hand to the patient on paper. It works once, for 14 days, and replaces the one before."""
    return InvitationOut.model_validate(await joining.invite(caller, patient_id, relation=body.relation))
