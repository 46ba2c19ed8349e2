"""Writes the patient record of a new account.

The account is inserted first, with the ids of record and link and the data that they need. Both are then
written once, and the account's note is removed. A job finishes what a process that died has left.
"""

from datetime import timedelta

from backend.accounts import repository as accounts
from backend.accounts.documents import User
from backend.accounts.profiles import PendingPatient
from backend.accounts.users import ContactsChanged, contacts_changed, patient_pending
from backend.core.clock import utc_now
from backend.patients import repository
from backend.patients.documents import Patient, PatientLink, Relation, Verification
from backend.patients.links import repository as links_repository
from backend.patients.links.acting import patients_of
from backend.patients.links.grants import write_dependant
from backend.patients.records import change

_LEFT_AFTER = timedelta(minutes=1)
"""After so long the process that inserted the account doesn't finish it any more."""

_CONTACTS = ("name", "email", "phone", "language")


def own_record(user: User, pending: PendingPatient) -> Patient:
    """Returns the patient record of a new account."""
    return Patient(
        id=pending.patient_id,
        **{field: getattr(user, field) for field in (*_CONTACTS, "photo_url")},
        **pending.model_dump(include={"date_of_birth", "gender", "address"}),
        created_at=user.created_at,
        updated_at=user.created_at,
    )


def own_link(user: User, pending: PendingPatient) -> PatientLink:
    """Returns the link between a new account and its own record."""
    return PatientLink(
        id=pending.link_id,
        user_id=user.user_id,
        patient_id=pending.patient_id,
        relation=Relation.SELF,
        verified_by=Verification.REGISTRATION,
        since=user.created_at,
    )


@patient_pending.connect
async def write_own_record(user: User) -> None:
    """Writes an account's own record and its link. Safe to repeat."""
    if user.pending_patient is None:
        return
    await repository.insert_once(own_record(user, user.pending_patient))
    await links_repository.insert_once(own_link(user, user.pending_patient))
    await accounts.remove_pending_patient(user.user_id)


async def finish_registrations() -> int:
    """A job: writes the records of accounts and dependants whose process died before it did. Returns how many."""
    since = utc_now() - _LEFT_AFTER
    left = await accounts.find_pending_patients(since=since, limit=100)
    for user in left:
        await write_own_record(user)
    links = await links_repository.find_pending(since=since, limit=100)
    for link in links:
        await write_dependant(link)
    return len(left) + len(links)


@contacts_changed.connect
async def _change_records(changed: ContactsChanged) -> None:
    """Changes the contacts of the account's patients that were the same as its own; of its owner the name too."""
    for own in await patients_of(changed.after):
        for field in _CONTACTS if own.relation is Relation.SELF else _CONTACTS[1:]:
            old, new = getattr(changed.before, field), getattr(changed.after, field)
            if new != old:
                await change(own.patient_id, {field: new}, where={field: old})
