"""A small world for random stories: clinics in two zones, two doctors, three patients, a nurse, an administrator."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pymongo.database import Database

from backend.accounts.documents import Role
from backend.accounts.profiles import WEEK, NurseProfile
from backend.core import clock
from backend.directory.documents import Policy
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
    [],
]
"""Weeks that a doctor may be given, the same on every day: from, to, minutes of a slot, capacity."""


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
        profile = NurseProfile(clinic_ids=[clinic.clinic_id for clinic in self.clinics])
        self._nurse = factories.make_user(run, Role.NURSE, nurse=profile)
        self._admin = factories.make_user(run, Role.ADMIN)
        self._log_in()
        for doctor in self.doctors:
            self.set_hours(doctor, HOURS[0])

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

    def offered(self) -> dict[str, Row]:
        """What the public search finds, by id, over all its pages."""
        found: dict[str, Row] = {}
        cursor: str | None = None
        while True:
            params = {"limit": 100, **({"cursor": cursor} if cursor else {})}
            page = self.admin.client.get("/slots", params=params).raise_for_status().json()
            found |= {slot["id"]: slot for slot in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def bookable(self) -> dict[str, int]:
        """The same worked out from what is stored: free seats by slot id."""
        rows = self.appointments()
        limits = {
            str(user["_id"]): user["doctor"].get("max_patients_per_day")
            for user in self.db["users"].find({"role": "doctor"})
        }
        free: dict[str, int] = {}
        for slot in self.slots():
            in_slot = sum(held["slot"] == slot["_id"] for row in rows if row["active"] for held in row["seats"])
            on_day = sum(
                row["status"] not in ("cancelled", "no_show", "left")
                and (row["doctor_id"], row["clinic_day"]) == (slot["doctor_id"], slot["day"])
                for row in rows
            )
            limit = limits[str(slot["doctor_id"])]
            is_open = slot["is_active"] and slot["state"] == "open" and slot["start"] > self.now
            if is_open and in_slot < slot["capacity"] and (limit is None or on_day < limit):
                free[str(slot["_id"])] = slot["capacity"] - in_slot
        return free
