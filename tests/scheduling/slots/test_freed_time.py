"""Time that only a booking held is offered again once the booking is gone, on the same day."""

from typing import Any

import httpx

from backend.scheduling.slots.horizon import extend_slots
from tests.factories import Person, Run
from tests.scheduling.support import (
    as_json,
    book,
    done,
    every_day,
    offered,
    opened,
    slot_at,
)


def test_cancelling_a_visit_outside_the_hours_frees_its_time(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, clinic: Any
) -> None:
    opened(run, doctor)
    run(extend_slots())
    left_over = book(patient, slot_at(api, doctor, "09:30"))
    later = as_json(every_day(clinic, "09:45", "10:45"))
    report = done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=later))["report"]
    assert [row["appointment_id"] for row in report["appointments"]] == [left_over["id"]]
    assert offered(api, doctor) == ["10:15"]
    assert run(extend_slots()) == 0
    done(patient.client.post(f"/appointments/{left_over['id']}/cancel"))
    assert run(extend_slots()) == 1
    assert offered(api, doctor) == ["09:45", "10:15"]
    assert run(extend_slots()) == 0


def test_rescheduling_a_visit_outside_the_hours_frees_its_time(
    run: Run[Any], api: httpx.Client, doctor: Person, patient: Person, clinic: Any
) -> None:
    opened(run, doctor)
    run(extend_slots())
    left_over = book(patient, slot_at(api, doctor, "09:30"))
    later = as_json(every_day(clinic, "09:45", "10:45"))
    done(doctor.client.put(f"/doctors/{doctor.id}/working-hours", json=later))
    to = slot_at(api, doctor, "10:15")
    done(patient.client.post(f"/appointments/{left_over['id']}/reschedule", json={"slot_id": to["id"]}))
    assert run(extend_slots()) == 1
    assert offered(api, doctor) == ["09:45"]
