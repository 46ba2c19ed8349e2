"""A small world for random stories: clinics in two zones, two doctors, two families, a nurse, an administrator."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.accounts.profiles import WEEK, NurseProfile
from backend.core import clock
from backend.directory.documents import Policy
from backend.directory.visit_types.schemas import NewVisitType
from backend.directory.visit_types.service import create_visit_type
from backend.scheduling.slots.slot_sync import reconcile
from tests import factories
from tests.factories import Person, Run

Db = Database[dict[str, Any]]
Row = dict[str, Any]

BEGINNING = datetime(2037, 6, 1, 11, tzinfo=UTC)
"""A Monday, 7:00 in New York. It lies ahead: MongoDB expires the blocks of withdrawn seats by its own clock."""

HOURS: list[list[tuple[str, str, int, int]]] = [
    [("09:00", "12:00", 60, 1)],
    [("09:00", "12:00", 60, 2)],
    [("09:30", "12:30", 60, 1)],
    [("08:00", "10:00", 30, 1), ("11:00", "13:00", 60, 3)],
    [("09:00", "13:00", 30, 1)],
    [("09:00", "12:00", 30, 2)],
    [],
]
"""Weeks that a doctor may be given, the same on every day: from, to, minutes of a slot, capacity."""


@dataclass(frozen=True)
class Kind:
    """A visit type as it was made. It never changes. Times are minutes."""

    id: str
    clinic_id: Any
    minutes: int
    buffer_minutes: int
    minimum_notice_minutes: int
    open_bookings_per_patient: int | None


KINDS: list[dict[str, Any]] = [
    {"minutes": 90},
    {"minutes": 60, "buffer_minutes": 30, "open_bookings_per_patient": 1},
    {"minutes": 40, "buffer_minutes": 15, "minimum_notice_minutes": 120, "cancellation_notice_minutes": 60},
]
"""The visit types of each clinic. In slots of half an hour and of an hour, these are one to three slots."""


@dataclass(frozen=True)
class Member:
    """A patient and the account that acts for them."""

    patient_id: str
    account: Person


class World:
    """Everybody and everything, with a clock that goes only when told to."""

    def __init__(self, run: Run[Any], db: Db) -> None:
        self.run, self.db = run, db
        for name in db.list_collection_names():
            db[name].delete_many({}, hint=[("_id", 1)])
        self._time = ExitStack()
        self.now = BEGINNING
        self._time.enter_context(clock.stopped(self.now))
        policy = Policy(horizon_days=1)
        zones = ("America/New_York", "Asia/Kolkata")
        self.clinics = [factories.make_clinic(run, time_zone=zone, policy=policy) for zone in zones]
        self._doctors = [
            factories.make_doctor(
                run, clinic, weekly_hours=[], clinic_ids=[each.clinic_id for each in self._main_first(clinic)]
            )
            for clinic in self.clinics
        ]
        self._patients = [factories.make_user(run, Role.PATIENT) for _ in range(3)]
        self.public = factories.make_client()
        profile = NurseProfile(clinic_ids=[clinic.clinic_id for clinic in self.clinics])
        self._nurse = factories.make_user(run, Role.NURSE, nurse=profile)
        self._admin = factories.make_user(run, Role.ADMIN)
        self._log_in()
        self.kinds = [self._new_kind(clinic, fields) for clinic in self.clinics for fields in KINDS]
        born = [("Kim", "2030-05-01"), ("Lou", "1950-01-31")]
        self._dependants = [self._new_dependant(self.patients[0], *who) for who in born]
        for doctor in self.doctors:
            self.set_hours(doctor, HOURS[5])

    def _new_kind(self, clinic: Any, fields: dict[str, Any]) -> Kind:
        names = {"en": f"{fields['minutes']} minutes"}
        stored = self.run(create_visit_type(clinic.clinic_id, NewVisitType(names=names, **fields)))
        return Kind(
            id=str(stored.visit_type_id),
            clinic_id=clinic.clinic_id,
            minutes=stored.minutes,
            buffer_minutes=stored.buffer_minutes,
            minimum_notice_minutes=stored.minimum_notice_minutes,
            open_bookings_per_patient=stored.open_bookings_per_patient,
        )

    @staticmethod
    def _new_dependant(account: Person, name: str, born: str) -> str:
        body = {"name": f"{name} {account.user.name}", "date_of_birth": born, "relation": "carer"}
        answer = account.client.post("/users/me/patients", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @property
    def members(self) -> list[Member]:
        """Everybody who is treated: the owners of the accounts, and for whom the first of them acts besides."""
        own = [Member(person.id, person) for person in self.patients]
        return [*own, *(Member(each, self.patients[0]) for each in self._dependants)]

    def _main_first(self, clinic: Any) -> list[Any]:
        return [clinic, *(each for each in self.clinics if each is not clinic)]

    def _log_in(self) -> None:
        """Access tokens live for half an hour."""
        self.doctors = [factories.log_in(self.run, person.user) for person in self._doctors]
        self.patients = [factories.log_in(self.run, person.user) for person in self._patients]
        self.nurse = factories.log_in(self.run, self._nurse.user)
        self.admin = factories.log_in(self.run, self._admin.user)

    def pass_time(self, minutes: int) -> None:
        """Moves the clock on."""
        self._time.close()
        self.now += timedelta(minutes=minutes)
        self._time.enter_context(clock.stopped(self.now))
        self._log_in()

    def end(self) -> None:
        """Gives the clock back."""
        self._time.close()

    def main_clinic(self, doctor: Person) -> Any:
        """Where the doctor has his weekly hours."""
        return self.clinics[[person.id for person in self.doctors].index(doctor.id)]

    def set_hours(self, doctor: Person, week: list[tuple[str, str, int, int]]) -> httpx.Response:
        """Gives the doctor the same blocks on every day."""
        clinic_id = str(self.main_clinic(doctor).clinic_id)
        hours = [
            {
                "clinic_id": clinic_id,
                "weekday": day,
                "start": start,
                "end": end,
                "slot_minutes": minutes,
                "capacity": capacity,
            }
            for day in WEEK
            for start, end, minutes, capacity in week
        ]
        return doctor.client.put(f"/doctors/{doctor.id}/working-hours", json={"hours": hours})

    def bring_in_line(self) -> None:
        """What the daily job does."""
        for doctor in self.doctors:
            self.run(reconcile(doctor.object_id))

    def slots(self) -> list[Row]:
        """Every slot there ever was, oldest first."""
        return list(self.db["slots"].find({}, hint=[("_id", 1)]))

    def appointments(self) -> list[Row]:
        """Every appointment there ever was, oldest first."""
        rows = self.db["appointments"].find({}, hint=[("_id", 1)])
        return [row for row in rows if "patient_id" in row]

    def active(self) -> list[Row]:
        """Those that hold their time."""
        return [row for row in self.appointments() if row["active"]]

    def limits(self) -> dict[Any, int | None]:
        """How many patients a day each doctor sees at most, by id."""
        doctors = self.db["users"].find({"role": "doctor"})
        return {user["_id"]: user["doctor"].get("max_patients_per_day") for user in doctors}

    def offered(self, kind: Kind | None = None, *, staff: bool = False) -> dict[str, Row]:
        """What a search by the public or by staff finds, by id, over all its pages."""
        client = self.nurse.client if staff else self.public
        found: dict[str, Row] = {}
        cursor: str | None = None
        while True:
            params = {
                "limit": 100,
                **({"visit_type_id": kind.id} if kind else {}),
                **({"cursor": cursor} if cursor else {}),
            }
            page = client.get("/slots", params=params).raise_for_status().json()
            found |= {slot["id"]: slot for slot in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found
