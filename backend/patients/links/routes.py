"""Routes of the links that say which account acts for a patient. For staff."""

from fastapi import APIRouter, Response, status

from backend.accounts.access import CurrentStaff, FrontDesk
from backend.core.http.errors import responses
from backend.core.http.fields import Id
from backend.core.http.headers import set_location
from backend.patients.errors import (
    CircularLink,
    LinkExists,
    LinkNotFound,
    OwnRecord,
    PatientNotFound,
    SelfLinkExists,
    UnknownAccount,
)
from backend.patients.links import grants
from backend.patients.responses import LinkOut
from backend.patients.schemas import NewLink

router = APIRouter(prefix="/patients/{patient_id}/links", tags=["patients"])


@router.get("", summary="List who acts for a patient", responses=responses(PatientNotFound))
async def list_links(patient_id: Id, caller: CurrentStaff) -> list[LinkOut]:
    """Lists the accounts that act for a patient, the longest known first."""
    return [LinkOut.of(link) for link in await grants.list_links(patient_id)]


@router.post(
    "",
    summary="Let an account act for a patient",
    status_code=status.HTTP_201_CREATED,
    responses=responses(PatientNotFound, UnknownAccount, LinkExists, SelfLinkExists, CircularLink),
)
async def grant_link(patient_id: Id, body: NewLink, caller: FrontDesk, response: Response) -> LinkOut:
    """Lets an account act for a patient. Do so in the presence of the patient, or of who decides for them."""
    link = LinkOut.of(await grants.grant_link(caller, patient_id, body))
    set_location(response, f"/patients/{patient_id}/links/{link.id}")
    return link


@router.get("/{link_id}", summary="Read a link", responses=responses(LinkNotFound))
async def get_link(patient_id: Id, link_id: Id, caller: CurrentStaff) -> LinkOut:
    """Returns an account that acts for a patient."""
    return LinkOut.of(await grants.get_link(patient_id, link_id))


@router.delete(
    "/{link_id}",
    summary="Withdraw a link",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(LinkNotFound, OwnRecord),
)
async def withdraw_link(patient_id: Id, link_id: Id, caller: FrontDesk) -> None:
    """Ends that the account acts for the patient, at once. The links of your own account are for a colleague."""
    await grants.withdraw_link(caller, patient_id, link_id)


@router.post(
    "/{link_id}/keep",
    summary="Keep a link of a patient of age",
    responses=responses(LinkNotFound, OwnRecord),
)
async def keep_link(patient_id: Id, link_id: Id, caller: FrontDesk) -> LinkOut:
    """Records that a parent or guardian goes on to act for a patient who has come of age.

    The patient leaves the list `GET /patients?of_age=true`.
    """
    await grants.keep_link(caller, patient_id, link_id)
    return LinkOut.of(await grants.get_link(patient_id, link_id))
