"""A small clinic for the tests of the contract: whom things belong to, and requests that are valid for a caller."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import httpx
from beanie import PydanticObjectId

from backend.accounts import users
from backend.accounts.documents import Role
from backend.appointments import transitions
from backend.appointments.booking import book
from backend.appointments.documents import Appointment
from backend.appointments.permissions import Actor
from backend.core import clock
from backend.core.settings import settings
from backend.directory.departments import create_department
from backend.directory.documents import Clinic, Department, Policy
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.messaging.twilio.carrier import signing_key
from backend.scheduling import directory_changes
from backend.scheduling.hours import working_hours
from backend.scheduling.slots.manual_slots import create_slot, get_slot, remove_slot
from tests import factories
from tests.contract.document import Operation
from tests.emulator.webhooks import signature
from tests.factories import Person, Run

NOW = datetime(2030, 6, 3, 14, tzinfo=UTC)
"""A Monday, 10:00 in New York (UTC-4). It lies ahead, so that MongoDB expires nothing by its own clock."""

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

_SHORT_BOOK = Policy(horizon_days=20)
"""Enough for what the tests do, and quickly filled."""

NOTHING = "5f0000000000000000000000"
"""An id that nothing has."""


_numbers = itertools.count(1)


@dataclass(frozen=True)
class Call:
    """A request but for its caller: what fills the path, and what goes with it."""

    ids: dict[str, str] = field(default_factory=dict)
    json: Any = None
    query: dict[str, str] | None = None
    form: dict[str, str] | None = None

    def send(self, operation: Operation, client: httpx.Client) -> httpx.Response:
        """Asks."""
        root = str(client.base_url).removesuffix("/api/v1/")
        sent: dict[str, Any] = {} if self.json is None else {"json": self.json}
        url = root + operation.url(self.ids)
        if self.form is not None:  # webhooks, signed for the address that the carrier was told
            told = settings.PUBLIC_BASE_URL + operation.url(self.ids)
            headers = {"X-Twilio-Signature": signature(signing_key(), told, self.form)}
            sent = {"data": self.form, "headers": headers}
        return client.request(operation.method, url, params=self.query, **sent)


def call(json: Any = None, query: dict[str, str] | None = None, **ids: Any) -> Call:
    """A request with a body, a query, and ids for the path, as `call({…}, doctor_id=…)`."""
    return Call({name: str(value) for name, value in ids.items()}, json, query)


class World:
    """Two clinics with a doctor and a nurse each, two patients and an administrator.

    `caller` is who asks next; what `mine` in a recipe's name says belongs to the caller.
    """

    def __init__(self, run: Run[Any]) -> None:
        self.run = run
        self.caller: Person | None = None
        self._times = itertools.count()
        self._slots: dict[tuple[PydanticObjectId, int], str] = {}
        self.clinic: Clinic = factories.make_clinic(run, policy=_SHORT_BOOK)
        self.doctor = factories.make_doctor(run, self.clinic, weekly_hours=[])
        self.nurse = factories.make_nurse(run, self.clinic)
        self.patient = self.new_patient()
        self.admin = factories.make_user(run, Role.ADMIN)

    @cached_property
    def elsewhere(self) -> Clinic:
        """A clinic where neither the doctor nor the nurse works."""
        return factories.make_clinic(self.run, policy=_SHORT_BOOK)

    @cached_property
    def other_doctor(self) -> Person:
        """A doctor of the other clinic."""
        return factories.make_doctor(self.run, self.elsewhere, weekly_hours=[])

    @cached_property
    def other_patient(self) -> Person:
        """A patient whom no caller is."""
        return self.new_patient()

    def new_patient(self) -> Person:
        """Another patient."""
        return factories.make_user(self.run, Role.PATIENT)

    def person(self, role: str) -> Person | None:
        """Who has a role; None for `nobody`. With a login of its own, which the request may end."""
        if role == "nobody":
            return None
        someone: Person = getattr(self, role)
        return factories.log_in(self.run, self.run(users.find_user(someone.user.user_id)))

    def client(self) -> httpx.Client:
        """The caller's."""
        return factories.make_client() if self.caller is None else self.caller.client

    @property
    def number(self) -> int:
        """Another one each time."""
        return next(_numbers)

    @property
    def my_patient(self) -> Person:
        """The caller, if a patient; else a new patient."""
        if self.caller is not None and self.caller.user.role is Role.PATIENT:
            return self.caller
        return self.new_patient()

    def department(self) -> Department:
        """A new one."""
        made: Department = self.run(create_department(name=f"Department {self.number}"))
        return made

    def visit_type(self, **fields: Any) -> str:
        """A new one of the clinic: half an hour, unless said otherwise."""
        wanted = NewVisitType(**{"names": {"en": f"Type {self.number}"}, "minutes": 30, **fields})
        return str(self.run(create_visit_type(self.clinic.clinic_id, wanted)).id)

    def time(self) -> datetime:
        """The start of half an hour that nothing has taken, from tomorrow 8:00 in New York on."""
        days, half_hours = divmod(next(self._times), 24)
        return NOW + (days + 1) * DAY + (half_hours * 30 - 120) * MINUTE

    def slot(self, minutes: int, doctor: Person | None = None, clinic: Clinic | None = None) -> str:
        """A slot of half an hour for many patients, so long from now. Made once."""
        doctor, clinic = doctor or self.doctor, clinic or self.clinic
        key = (doctor.object_id, minutes)
        if key not in self._slots:
            self._slots[key] = self.new_slot(NOW + minutes * MINUTE, doctor, clinic)
        return self._slots[key]

    def new_slot(
        self, start: datetime | None = None, doctor: Person | None = None, clinic: Clinic | None = None
    ) -> str:
        """A new slot of half an hour."""
        start = start or self.time()
        with clock.stopped(min(NOW, start - 120 * MINUTE)):
            made = self.run(
                create_slot(
                    doctor_id=(doctor or self.doctor).object_id,
                    clinic_id=(clinic or self.clinic).clinic_id,
                    start=start,
                    minutes=30,
                    capacity=100,
                )
            )
        return str(made.id)

    def appointment(
        self,
        *,
        minutes: int = 60,
        after: Sequence[str] = (),
        patient: Person | None = None,
        doctor: Person | None = None,
        clinic: Clinic | None = None,
    ) -> str:
        """An appointment so long from now, after the steps named; the caller's, if a patient."""
        start = NOW + minutes * MINUTE
        slot_id = self.slot(minutes, doctor, clinic)
        wanted = book.BookingRequest(slot_id=PydanticObjectId(slot_id))
        with clock.stopped(min(NOW, start - 60 * MINUTE)):
            made: Appointment = self.run(book.book((patient or self.my_patient).user, wanted)).appointment
        for step in after:
            with clock.stopped(min(NOW, start)):
                made = self.run(getattr(transitions, step)(made, Actor.of(self.admin.user)))
        return str(made.id)

    def undecided(self) -> str:
        """An appointment with the doctor, whose slot was removed."""
        slot_id = PydanticObjectId(self.new_slot())
        wanted = book.BookingRequest(slot_id=slot_id)
        made: Appointment = self.run(book.book(self.new_patient().user, wanted)).appointment
        self.run(remove_slot(self.run(get_slot(slot_id))))
        return str(made.id)

    def leave(self, doctor: Person | None = None) -> str:
        """A leave of the doctor, next week."""
        start = NOW + 7 * DAY
        person = doctor or self.doctor
        leave, *_ = self.run(
            working_hours.take_leave(
                person.user, start=start, end=start + DAY, reason=None, created_by=person.object_id
            )
        )
        return str(leave.id)

    def closure(self, clinic: Clinic | None = None) -> str:
        """A closure of the clinic, in two weeks."""
        start = NOW + 14 * DAY
        closure, *_ = self.run(
            directory_changes.close_clinic(clinic or self.clinic, start=start, end=start + DAY, reason=None)
        )
        return str(closure.id)
