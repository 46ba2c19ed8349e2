"""People and places for tests, made by the services, ready to be used in a request."""

import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from beanie import PydanticObjectId

from backend.accounts import users
from backend.accounts.documents import Role, User
from backend.accounts.login import sessions
from backend.accounts.profiles import WEEK, DoctorProfile, NurseProfile
from backend.core.mongo.text_search import fold
from backend.directory.documents import Clinic, OpeningHours
from backend.patients.documents import PatientLink

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = "$argon2id$v=19$m=19456,t=2,p=1$1BpDKKU0hlCqdY7R2hsjhA$G0tvLypVKWQYLyAK1fYucvcWufE3htGUMcS9NqF+PpI"
"""Of PASSWORD, computed once: hashing is slow on purpose."""

_number = itertools.count(1)
# Dropped before the server drops it, which would look like a server that died.
_transport = httpx.HTTPTransport(limits=httpx.Limits(max_connections=None, keepalive_expiry=2))


class Server:
    """Where the clients find the API; set once, by conftest."""

    api_url = ""


def make_client(token: str | None = None, base_url: str | None = None) -> httpx.Client:
    """A client of the API with the bearer token. All share one pool of connections: don't close it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(
        base_url=base_url or Server.api_url,
        headers=headers,
        transport=_transport,
        timeout=30,
        trust_env=False,
    )


@dataclass(frozen=True)
class Person:
    """A stored user who is logged in. The ids are those of the patient, if the account is a patient's."""

    user: User
    token: str
    client: httpx.Client
    patient_id: PydanticObjectId | None = None

    @property
    def object_id(self) -> PydanticObjectId:
        """The id as the services want it."""
        return self.patient_id or self.user.user_id

    @property
    def id(self) -> str:
        """The id as JSON shows it."""
        return str(self.object_id)

    @property
    def account_id(self) -> str:
        """The account's id as JSON shows it."""
        return str(self.user.user_id)


def make_user(run: Run[Any], role: Role | str, **over: Any) -> Person:
    """A user of any role, with `over` as fields of the document. The password is PASSWORD."""
    role = Role(role)
    n = next(_number)
    given = {
        "name": f"{role.value.capitalize()} {n:05}",
        "email": f"{role.value}{n}@example.com",
        "phone": f"+1555{n:07}",
        "password_hash": PASSWORD_HASH,
        **over,
    }
    if role is Role.DOCTOR:
        given.setdefault("doctor", doctor_profile())
    user: User = run(users.create_user(User(role=role, **given)))
    return log_in(run, user)


def log_in(run: Run[Any], user: User) -> Person:
    """A new session of a stored user, without going through the slow login."""
    person: Person = run(logged_in(user))
    return person


async def logged_in(user: User) -> Person:
    """The same, on the server's loop."""
    token = (await sessions.open_session(user, user_agent="tests")).access_token
    if user.pending_patient is not None:  # of a new account, just written
        patient_id: PydanticObjectId | None = user.pending_patient.patient_id
    else:
        link = await PatientLink.find_one({"user_id": user.id, "relation": "self"})
        patient_id = link and link.patient_id
    return Person(user=user, token=token, client=make_client(token), patient_id=patient_id)


def doctor_profile(**profile: Any) -> DoctorProfile:
    """A cardiologist at no clinic, with any field changed."""
    specialty = profile.pop("specialty", "Cardiology")
    return DoctorProfile(
        **{
            "specialty": specialty,
            "specialty_key": fold(specialty),
            "license_number": f"LIC-{next(_number):06}",
            "qualifications": ["MD"],
            "experience_years": 10,
            **profile,
        }
    )


def make_doctor(run: Run[Any], clinic: Clinic, *, name: str | None = None, **profile: Any) -> Person:
    """A doctor of the clinic, with any field of the profile changed."""
    over = {"name": name} if name else {}
    return make_user(run, Role.DOCTOR, doctor=doctor_profile(**{"clinic_ids": [clinic.clinic_id], **profile}), **over)


def make_nurse(run: Run[Any], clinic: Clinic, **over: Any) -> Person:
    """A nurse who keeps the clinic's book."""
    return make_user(run, Role.NURSE, nurse=NurseProfile(clinic_ids=[clinic.clinic_id]), **over)


def make_clinic(run: Run[Any], **over: Any) -> Clinic:
    """A clinic in New York that is open every day from 8 to 20, with any field changed."""
    n = next(_number)
    clinic = Clinic(
        **{
            "name": f"Clinic {n:05}",
            "address": f"{n} Main Street",
            "city": "New York",
            "time_zone": "America/New_York",
            "opening_hours": [OpeningHours(weekday=day, opens="08:00", closes="20:00") for day in WEEK],
            **over,
        }
    )
    run(clinic.insert())
    return clinic
