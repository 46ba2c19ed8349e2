"""Who may see and change whose schedule: doctors their own, nurses their clinics', administrators all."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backend.accounts.documents import Role
from backend.directory.documents import Clinic, Policy
from tests import factories
from tests.factories import Person, Run
from tests.scheduling.support import (
    NOBODY,
    as_json,
    at,
    done,
    every_day,
    offered,
    opened,
    refused,
    slot_at,
    text,
)

Cast = dict[str, Person]
Ask = Callable[[Person, Person, Clinic, str], httpx.Response]
"""A request about a doctor's schedule at a clinic; the last argument is the id of one of their open slots."""


@pytest.fixture
def elsewhere(run: Run[Any]) -> Clinic:
    """A second clinic."""
    return factories.make_clinic(run, policy=Policy(horizon_days=2))


@pytest.fixture
def cast(run: Run[Any], clinic: Clinic, elsewhere: Clinic, doctor: Person, nurse: Person) -> Cast:
    """One of each, and those of the other clinic."""
    opened(run, doctor)
    return {
        "doctor": doctor,
        "nurse": nurse,
        "admin": factories.make_user(run, Role.ADMIN),
        "patient": factories.make_user(run, Role.PATIENT),
        "colleague": factories.make_doctor(run, clinic),
        "stranger": factories.make_doctor(run, elsewhere),
        "nurse elsewhere": factories.make_nurse(run, elsewhere),
        "nurse nowhere": factories.make_user(run, Role.NURSE),
    }


def _set_schedule(caller: Person, doctor: Person, clinic: Clinic, _: str) -> httpx.Response:
    body = as_json(every_day(clinic, "09:00", "11:00"))
    return caller.client.put(f"/doctors/{doctor.id}/working-hours", json=body)


def _list_leaves(caller: Person, doctor: Person, *_: Any) -> httpx.Response:
    return caller.client.get(f"/doctors/{doctor.id}/leaves")


def _take_leave(caller: Person, doctor: Person, *_: Any) -> httpx.Response:
    leave = {"start": text(at("09:00")), "end": text(at("10:00"))}
    return caller.client.post(f"/doctors/{doctor.id}/leaves", json=leave)


def _add_slot(caller: Person, doctor: Person, clinic: Clinic, _: str) -> httpx.Response:
    slot = {"doctor_id": doctor.id, "clinic_id": str(clinic.clinic_id), "start": text(at("12:00"))}
    return caller.client.post("/slots", json=slot)


def _generate(caller: Person, doctor: Person, clinic: Clinic, _: str) -> httpx.Response:
    days = {"first_day": "2030-06-03", "last_day": "2030-06-03", "start": "14:00", "end": "15:00"}
    whose = {"doctor_id": doctor.id, "clinic_id": str(clinic.clinic_id)}
    return caller.client.post("/slots/generate", json={**whose, **days})


def _delete_slot(caller: Person, _: Person, __: Clinic, slot_id: str) -> httpx.Response:
    return caller.client.delete(f"/slots/{slot_id}")


CHANGES: tuple[tuple[Ask, str], ...] = (
    (_set_schedule, "DOCTOR_NOT_FOUND"),
    (_list_leaves, "DOCTOR_NOT_FOUND"),
    (_take_leave, "DOCTOR_NOT_FOUND"),
    (_add_slot, "DOCTOR_NOT_FOUND"),
    (_generate, "DOCTOR_NOT_FOUND"),
    (_delete_slot, "SLOT_NOT_FOUND"),
)


@pytest.mark.parametrize("ask", [ask for ask, _ in CHANGES])
@pytest.mark.parametrize("who", ["doctor", "nurse", "admin"])
def test_doctor_nurse_and_administrators_change_the_schedule(
    api: httpx.Client, clinic: Clinic, cast: Cast, who: str, ask: Ask
) -> None:
    slot = slot_at(api, cast["doctor"], "10:30")
    answer = ask(cast[who], cast["doctor"], clinic, slot["id"])
    assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("who", ["colleague", "stranger", "nurse elsewhere", "nurse nowhere"])
def test_other_staff_get_404(
    api: httpx.Client, clinic: Clinic, cast: Cast, who: str, change: tuple[Ask, str]
) -> None:
    ask, code = change
    before = offered(api, cast["doctor"])
    slot = slot_at(api, cast["doctor"], "10:30")
    refused(ask(cast[who], cast["doctor"], clinic, slot["id"]), 404, code)
    assert offered(api, cast["doctor"]) == before


@pytest.mark.parametrize(("ask", "code"), CHANGES)
def test_patients_get_403_and_strangers_401(
    api: httpx.Client, clinic: Clinic, cast: Cast, ask: Ask, code: str
) -> None:
    slot = slot_at(api, cast["doctor"], "10:30")
    refused(ask(cast["patient"], cast["doctor"], clinic, slot["id"]), 403, "NOT_ALLOWED")
    nobody = Person(user=cast["doctor"].user, token="", client=api)
    refused(ask(nobody, cast["doctor"], clinic, slot["id"]), 401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize(("ask", "code"), CHANGES)
def test_an_unknown_doctor_or_a_nurse_is_404(run: Run[Any], clinic: Clinic, cast: Cast, ask: Ask, code: str) -> None:
    refused(ask(cast["admin"], cast["nurse"], clinic, NOBODY), 404, code)


def test_a_nurse_can_t_change_slots_at_another_clinic(
    run: Run[Any], api: httpx.Client, clinic: Clinic, elsewhere: Clinic, nurse: Person
) -> None:
    doctor = factories.make_doctor(
        run,
        clinic,
        clinic_ids=[clinic.clinic_id, elsewhere.clinic_id],
        weekly_hours=every_day(elsewhere, "09:00", "10:00"),
    )
    opened(run, doctor)
    there = slot_at(api, doctor, "09:00")
    refused(_add_slot(nurse, doctor, elsewhere, ""), 404, "DOCTOR_NOT_FOUND")
    refused(_generate(nurse, doctor, elsewhere, ""), 404, "DOCTOR_NOT_FOUND")
    refused(_delete_slot(nurse, doctor, elsewhere, there["id"]), 404, "SLOT_NOT_FOUND")
    assert offered(api, doctor) == ["09:00", "09:30"]
    done(_add_slot(nurse, doctor, clinic, ""), 201)


def test_every_user_may_read_an_active_doctor_s_hours(cast: Cast) -> None:
    doctor = cast["doctor"]
    for person in cast.values():
        assert len(done(person.client.get(f"/doctors/{doctor.id}/working-hours"))["hours"]) == 7
    done(cast["admin"].client.delete(f"/doctors/{doctor.id}"))
    for who, person in cast.items():
        answer = person.client.get(f"/doctors/{doctor.id}/working-hours")
        if who == "doctor":
            assert answer.status_code == 401
        elif who == "admin":
            done(answer)
        else:
            refused(answer, 404, "DOCTOR_NOT_FOUND")


def test_hours_are_not_public(api: httpx.Client, doctor: Person) -> None:
    refused(api.get(f"/doctors/{doctor.id}/working-hours"), 401, "NOT_AUTHENTICATED")
