"""Patients who are fitted in over taken time or after hours, in the random stories."""

from datetime import timedelta

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.properties.small_world import Row
from tests.properties.story import Story, any_one, doctors, half_hours, the

visit_lengths = st.sampled_from([5, 30, 60])


class FitInRules(Story):
    """Only the patient's own time and absence are in the way of a fit-in."""

    @rule(number=doctors, at=doctors, who=any_one, start=half_hours, minutes=visit_lengths)
    def fit_in(self, number: int, at: int, who: int, start: int, minutes: int) -> None:
        place = {"doctor_id": self.doctor(number).id, "clinic_id": str(self.world.clinics[at].clinic_id)}
        patient_id = self.world.members[who % len(self.world.members)].patient_id
        body = {**place, "patient_id": patient_id, **self._time(start, minutes)}
        self._check(self.world.nurse.client.post("/appointments", json=body), 201)

    @rule(number=any_one, who=any_one, minutes=visit_lengths)
    def fit_in_over_a_visit(self, number: int, who: int, minutes: int) -> None:
        """At the very time of somebody else."""
        row = the([each for each in self.world.active() if each["start"] > self.world.now], number)
        if row is None:
            return
        body = {
            **{name: str(row[name]) for name in ("doctor_id", "clinic_id")},
            **{"patient_id": self.world.members[who % len(self.world.members)].patient_id, "minutes": minutes},
            **{"start": row["start"].isoformat(), "overbook": True, "why": "Urgent"},
        }
        self._check(self.world.nurse.client.post("/appointments", json=body), 201)

    @rule(number=any_one, start=half_hours, minutes=visit_lengths)
    def reschedule_to_a_fit_in(self, number: int, start: int, minutes: int) -> None:
        row = the(self.world.active(), number)
        if row is None:
            return
        path = f"/appointments/{row['_id']}/reschedule"
        answer = self.world.nurse.client.post(path, json=self._time(start, minutes))
        if not self._check(answer, 200):
            assert self.db["appointments"].find_one({"_id": row["_id"]}) == row

    def _time(self, start: int, minutes: int) -> Row:
        """Ten minutes after a half hour, so that it overlaps two slots."""
        begins = self.world.now.replace(minute=10) + timedelta(minutes=30 * start)
        return {"start": begins.isoformat(), "minutes": minutes, "overbook": True, "why": "Urgent"}

    @staticmethod
    def _check(answer: httpx.Response, status: int) -> bool:
        if answer.status_code == status:
            assert answer.json()["overbooked"]
            assert not answer.json()["needs_decision"]
            return True
        code = answer.json()["error_code"]
        expected = {"PATIENT_DOUBLE_BOOKED", "TIME_NOT_AVAILABLE", "IN_THE_PAST", "BEYOND_HORIZON"}
        assert code in (expected if status == 201 else {*expected, "TOO_LATE", "SAME_SLOT"}), answer.text
        return False
