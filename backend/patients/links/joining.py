"""Joining a record that staff entered to an account: by proof only, never because the account claims its number.

The proof is a code sent to the record's phone together with the date of birth, or an invitation that staff hand over.
"""

import secrets
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from beanie import PydanticObjectId

from backend.accounts import repository as accounts
from backend.accounts.documents import Purpose, User
from backend.accounts.errors import CodeInvalid, NoPhone
from backend.accounts.login.codes import issue, redeem
from backend.accounts.login.throttle import count_failure, keyed_hash, refuse_if_throttled, throttle_key
from backend.core.clock import utc_now
from backend.patients import repository
from backend.patients.documents import Invitation, Patient, PatientLink, Relation, Verification
from backend.patients.errors import InvitationInvalid, LinkExists, RecordNotMatched
from backend.patients.links import invitations_repository
from backend.patients.links import repository as links_repository
from backend.patients.links.acting import patients_of
from backend.patients.links.grants import link_to
from backend.patients.merging.merge import merge_records
from backend.patients.merging.resolving import surviving_id
from backend.patients.records import get_patient

VALID = timedelta(days=14)

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"
"""Of invitations: no vowels, so that no word appears, and none that are easily mistaken."""

_LENGTH = 10


@dataclass(frozen=True)
class NewInvitation:
    """An invitation to be handed over on paper. Its text representation doesn't show the code."""

    code: str = field(repr=False)
    relation: Relation
    expires_at: datetime


async def send_joining_code(caller: User) -> None:
    """Sends a code to the caller's phone, unless one was sent less than a minute ago.

    It is sent whether or not a record has this phone. Raises `NoPhone`, and `TooManyRequests` after the fifth in an
    hour.
    """
    if caller.phone is None:
        raise NoPhone
    await issue(caller, Purpose.JOIN_RECORD)


async def join_by_phone(caller: User, *, code: str, date_of_birth: date, relation: Relation) -> Patient:
    """Lets the caller act for the one patient with the caller's phone and this date of birth.

    A code works once, whether or not there is such a patient: each guess of a date costs one. It also proves the
    phone. Raises `CodeInvalid`, `RecordNotMatched`, and the errors of `join`.
    """
    phone = caller.phone
    if phone is None or not await redeem(user_id=caller.user_id, purpose=Purpose.JOIN_RECORD, phone=phone, code=code):
        raise CodeInvalid
    if await accounts.mark_phone_verified(caller.user_id, phone) is None:
        raise CodeInvalid
    known = {each.patient_id for each in await patients_of(caller)}
    born = date_of_birth.isoformat()
    with_phone = await repository.find_active_by_phone(phone)
    found = [each for each in with_phone if each.date_of_birth == born and each.patient_id not in known]
    if len(found) != 1:
        raise RecordNotMatched
    return await join(caller, found[0], relation, verified_by=Verification.PHONE)


async def invite(caller: User, patient_id: PydanticObjectId, *, relation: Relation) -> NewInvitation:
    """Makes an invitation in place of the patient's last one. Raises `PatientNotFound`."""
    patient = await get_patient(patient_id, where={"is_active": True})
    code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    expires_at = utc_now() + VALID
    await invitations_repository.replace(
        patient.patient_id,
        code_hash=_hash_of(code),
        relation=relation,
        created_by=caller.user_id,
        expires_at=expires_at,
    )
    return NewInvitation(code=code, relation=relation, expires_at=expires_at)


async def redeem_invitation(caller: User, code: str) -> Patient:
    """Lets the caller act for the patient whom an invitation is about. The same account may repeat it.

    Raises `InvitationInvalid`, `TooManyRequests` after LOGIN_ATTEMPTS wrong codes, and the errors of `join`.
    """
    key = throttle_key(f"invitation {caller.user_id}", "")
    await refuse_if_throttled(key)
    invitation = await invitations_repository.use(_hash_of(code), user_id=caller.user_id)
    patient = invitation and await _find_invited(invitation)
    if invitation is None or patient is None:
        await count_failure(key)
        raise InvitationInvalid
    return await join(caller, patient, invitation.relation, verified_by=Verification.INVITATION)


async def _find_invited(invitation: Invitation) -> Patient | None:
    """Returns the patient whom an invitation is about, if they are active; a record may have been merged since."""
    assert invitation.id is not None  # noqa: S101 - it is stored
    return await repository.find({"_id": await surviving_id(invitation.id), "is_active": True})


async def join(caller: User, patient: Patient, relation: Relation, *, verified_by: Verification) -> Patient:
    """Lets an account act for a patient, and returns them. As `self`, the account's own record is merged into theirs.

    Raises `LinkExists`, `SelfLinkExists`, `CircularLink`, and the errors of `merge_records`.
    """
    own = await links_repository.find_own(caller.user_id) if relation is Relation.SELF else None
    if own is None:
        await link_to(PatientLink.of(caller.user_id, patient, relation, verified_by=verified_by))
        return patient
    if own.patient_id == patient.patient_id:
        raise LinkExists
    outcome = await merge_records(caller, patient.patient_id, other_id=own.patient_id)
    await links_repository.set_verified(own.link_id, verified_by=verified_by)
    return outcome.survivor


def _hash_of(code: str) -> str:
    return keyed_hash("invitation", "".join(c for c in code.upper() if c.isalnum()))
