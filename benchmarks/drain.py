"""Ten thousand reminders due at once: how fast two processes drain them, beside the bare SDK, and what a slot search
takes meanwhile.

`python -m benchmarks.drain [--count 10000] [--rounds 3] [--validate]`. Carrier: the tests' emulator, without pacing
and callbacks; with `--validate` as the tests use it, holding each request and answer to Twilio's contract.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from backend.devtools.mongod import Mongod
from tests.emulator.client import Carrier, running_carrier
from tests.support.servers import Program, free_port, launch

PROCESSES = 2
PAUSE_SECONDS = 0.05
"""Between two searches of the probe: low load."""


def bare(carrier: Carrier, count: int, how: str) -> float:
    """Messages a second of the SDK alone, in as many processes: its `client`, or its `async` one."""
    share = count // PROCESSES
    about = (carrier.base_url, carrier.account_sid, carrier.auth_token, carrier.sender)
    command = [sys.executable, "-m", "benchmarks.bare_sdk", how, *about]
    workers = [
        subprocess.Popen(
            [*command, str(2_000_000 + n * share), str(share)], stdout=subprocess.PIPE, text=True
        )
        for n in range(PROCESSES)
    ]
    times = [[float(moment) for moment in worker.communicate()[0].split()] for worker in workers]
    return count / (max(end for _, end in times) - min(began for began, _ in times))


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Probe:
    """Searches slots now and then, and notes how long each took. Milliseconds."""

    def __init__(self, base_url: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=60)
        self._stop = threading.Event()
        self.took: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            began = time.perf_counter()
            answer = self._http.get("/api/v1/slots", params={"specialty": "cardiology", "limit": 20})
            assert answer.status_code == 200, answer.text
            self.took.append((time.perf_counter() - began) * 1000)


async def fill(count: int) -> None:
    """One clinic and so many patients whose reminder falls due in a moment."""
    from backend.accounts.documents import Role, User
    from backend.accounts.profiles import WEEK, DoctorProfile, HoursBlock
    from backend.appointments.documents import Appointment
    from backend.core.clock import utc_now
    from backend.core.mongo.client import connect
    from backend.directory.documents import Clinic, OpeningHours
    from backend.documents import DOCUMENTS
    from backend.scheduling.slots.slot_sync import reconcile

    connection = await connect(DOCUMENTS)
    try:
        for model in (User, Appointment):
            await model.get_pymongo_collection().delete_many({"search_words": "drain"})
        days = [OpeningHours(weekday=day, opens="00:00", closes="24:00") for day in WEEK]
        clinic = (
            await Clinic.find_one({})
            or await Clinic(
                name="Drain", city="New York", time_zone="America/New_York", opening_hours=days
            ).insert()
        )
        doctor = await User.find_one({"role": Role.DOCTOR})
        if doctor is None:
            hours = [
                HoursBlock(
                    clinic_id=clinic.clinic_id, weekday=day, start="09:00", end="17:00", slot_minutes=30
                )
                for day in WEEK
            ]
            profile = DoctorProfile(
                clinic_ids=[clinic.clinic_id],
                specialty="Cardiology",
                specialty_key="cardiology",
                license_number="D-1",
                weekly_hours=hours,
            )
            doctor = await User(name="Dr. Ada Lovelace", role=Role.DOCTOR, doctor=profile).insert()
            await reconcile(doctor.user_id)
        now = utc_now()
        start = now + timedelta(minutes=179)
        offset = int(time.time()) % 1000
        users = [
            User(name=f"Patient {n}", phone=f"+1{300 + offset % 600}{n:07}", role=Role.PATIENT)
            for n in range(count)
        ]
        result = await User.insert_many(users)
        appointments = [
            Appointment(
                patient_id=patient_id,
                patient_name="Patient",
                doctor_id=doctor.user_id,
                doctor_name=doctor.name,
                specialty="Cardiology",
                clinic_id=clinic.clinic_id,
                clinic_name=clinic.name,
                time_zone=clinic.time_zone,
                slot_id=patient_id,
                seat=0,
                reserved_seat=0,
                start=start,
                end=start + timedelta(minutes=30),
                clinic_day=f"{start:%Y-%m-%d}",
                ticks=[],
                remind_at=now,
                reminded_until=now - timedelta(days=1),
                created_by=patient_id,
            )
            for patient_id in result.inserted_ids
        ]
        await Appointment.insert_many(appointments)
    finally:
        await connection.close()


@contextmanager
def servers(environment: dict[str, str]) -> Iterator[list[Program]]:
    """Two of the application's processes, as in production."""
    started: list[Program] = []
    for _ in range(PROCESSES):
        port = free_port()
        program = launch("-m", "backend", "serve", "--port", str(port), environment=environment)
        program.base_url = f"http://127.0.0.1:{port}"
        started.append(program)
    try:
        for program in started:
            program.wait_until_ready()
        yield started
    finally:
        for program in started:
            program.stop()


def accepted(carrier: Carrier) -> int:
    """How many messages the carrier has taken."""
    return int(carrier.counts()["accepted"])


def wait_for(carrier: Carrier, wanted: int) -> None:
    """Until the carrier has taken so many. Asks seldom until the end: the probe lives in this process too."""
    while (left := wanted - accepted(carrier)) > 0:
        time.sleep(max(0.05, left / 5000))


def ours(carrier: Carrier, base_url: str, count: int) -> dict[str, Any]:
    """Messages a second from the first to the last, and the search's times before and meanwhile."""
    with Probe(base_url) as idle:
        time.sleep(8)
    before = accepted(carrier)
    asyncio.run(fill(count))
    with Probe(base_url) as busy:
        while accepted(carrier) == before:
            time.sleep(0.02)
        began, busy.took = time.perf_counter(), []
        wait_for(carrier, before + count)
        seconds = time.perf_counter() - began
    return {"rate": count / seconds, "idle": idle.took, "busy": busy.took}


def at_start(carrier: Carrier, environment: dict[str, str], count: int) -> dict[str, Any]:
    """The same, but the reminders are due when the processes start: they needn't wait for the minute's scan."""
    with servers(environment) as running, Probe(running[0].base_url) as idle:
        time.sleep(6)
    asyncio.run(fill(count))
    wanted = accepted(carrier) + count
    with servers(environment) as running, Probe(running[0].base_url) as busy:
        before, began = accepted(carrier), time.perf_counter()
        wait_for(carrier, wanted)
        seconds = time.perf_counter() - began
    return {"rate": (wanted - before) / seconds, "idle": idle.took, "busy": busy.took}


@contextmanager
def database(carrier: Carrier) -> Iterator[dict[str, str]]:
    """A `mongod` of its own, and the settings of processes on it, with this carrier."""
    with tempfile.TemporaryDirectory() as folder:
        mongod = Mongod(Path(folder))
        environment = {
            "MONGODB_URL": mongod.start(),
            "DATABASE_NAME": "drain",
            "SCHEDULER_ENABLED": "true",
            "LOG_LEVEL": "WARNING",
            "TWILIO_ACCOUNT_SID": carrier.account_sid,
            "TWILIO_AUTH_TOKEN": carrier.auth_token,
            "TWILIO_PHONE_NUMBER": carrier.sender,
            "TWILIO_API_URL": carrier.base_url,
            "SMS_PER_SECOND": "0",
            "SMS_QUIET_FROM": "00:00",
            "SMS_QUIET_UNTIL": "00:00",
        }
        os.environ.update(environment)
        carrier.callbacks(on=False)
        try:
            yield environment
        finally:
            mongod.release()


def measure(carrier: Carrier, count: int, rounds: int) -> Iterator[dict[str, Any]]:
    """One round after the other: the SDK's two clients, and ours."""
    with database(carrier) as environment, servers(environment) as running:
        for _ in range(rounds):
            yield {**_bases(carrier, count), **ours(carrier, running[0].base_url, count)}


def measure_soon(carrier: Carrier, count: int) -> Iterator[dict[str, Any]]:
    """One round that waits for nothing."""
    with database(carrier) as environment:
        yield {**_bases(carrier, count), **at_start(carrier, environment, count)}


def _bases(carrier: Carrier, count: int) -> dict[str, float]:
    return {how: bare(carrier, count, how) for how in ("client", "async")}


def summary(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of the ratios; the search's p99 of all rounds together, in ms."""
    found = {how: statistics.median(r["rate"] / r[how] for r in rounds) for how in ("client", "async")}
    for when in ("idle", "busy"):
        found[when] = percentile([each for r in rounds for each in r[when]], 0.99)
    return {**found, "rate": statistics.median(r["rate"] for r in rounds)}


def main() -> None:
    """Prints the figures of each round, and of all together."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--validate", action="store_true")
    arguments.add_argument(
        "--json", action="store_true", help="one round at the start of the processes; figures at the end"
    )
    given = arguments.parse_args()
    rounds = []
    with running_carrier(*(["--validate"] if given.validate else [])) as carrier:
        for found in (
            measure_soon(carrier, given.count) if given.json else measure(carrier, given.count, given.rounds)
        ):
            rounds.append(found)
            print(
                f"ours {found['rate']:.0f}/s; SDK's client {found['client']:.0f}/s, async {found['async']:.0f}/s; "
                f"{len(found['idle'])} searches idle, {len(found['busy'])} meanwhile",
                flush=True,
            )
    all_of_them = summary(rounds)
    print(
        f"ours {all_of_them['rate']:.0f}/s: {all_of_them['client']:.2f} of the SDK's client, "
        f"{all_of_them['async']:.2f} of its async one; search p99 idle {all_of_them['idle']:.1f} ms, meanwhile "
        f"{all_of_them['busy']:.1f} ms ({all_of_them['busy'] / all_of_them['idle']:.1f} times)"
    )
    if given.json:
        print(json.dumps({"count": given.count, **all_of_them}))


if __name__ == "__main__":
    main()
