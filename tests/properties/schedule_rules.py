"""What doctors, clinics and time do to the book in the random stories."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from backend.appointments.no_shows import mark_no_shows
from backend.scheduling.slots.horizon import extend_slots
from tests.properties.small_world import HOURS, Row
from tests.properties.story import Story, any_one, doctors, half_hours, lengths, the


class ScheduleRules(Story):
    """Hours, leave, closures, slots, limits, and the clock."""

    @rule(number=doctors, week=st.sampled_from(HOURS))
    def set_hours(self, number: int, week: list[tuple[str, str, int, int]]) -> None:
        assert self.world.set_hours(self.doctor(number), week).status_code == 200

    @rule(number=doctors, start=half_hours, length=lengths)
    def take_leave(self, number: int, start: int, length: int) -> None:
        """The report lists every active appointment in the leave."""
        doctor, span = self.doctor(number), self.span(start, length)
        answer = doctor.client.post(f"/doctors/{doctor.id}/leaves", json=span)
        if answer.status_code == 422:
            assert answer.json()["error_code"] == "IN_THE_PAST"
            return
        assert answer.status_code == 201, answer.text
        self._check_absence(answer.json(), {"doctor_id": doctor.object_id})

    @rule(number=doctors, which=any_one)
    def end_leave(self, number: int, which: int) -> None:
        doctor = self.doctor(number)
        leave = the(list(self.db["leaves"].find({"doctor_id": doctor.object_id})), which)
        if leave is not None:
            answer = doctor.client.delete(f"/doctors/{doctor.id}/leaves/{leave['_id']}")
            assert answer.status_code == 200, answer.text

    @rule(number=doctors, start=half_hours, length=lengths)
    def close_a_clinic(self, number: int, start: int, length: int) -> None:
        clinic_id = self.world.clinics[number].clinic_id
        answer = self.world.nurse.client.post(f"/clinics/{clinic_id}/closures", json=self.span(start, length))
        if answer.status_code == 422:
            assert answer.json()["error_code"] == "IN_THE_PAST"
            return
        assert answer.status_code == 201, answer.text
        self._check_absence(answer.json(), {"clinic_id": clinic_id})

    @rule(number=doctors, which=any_one)
    def reopen_a_clinic(self, number: int, which: int) -> None:
        clinic_id = self.world.clinics[number].clinic_id
        clinic = self.db["clinics"].find_one({"_id": clinic_id}) or {}
        closure = the(clinic["closures"], which)
        if closure is not None:
            answer = self.world.nurse.client.delete(f"/clinics/{clinic_id}/closures/{closure['id']}")
            assert answer.status_code == 200, answer.text

    @rule(number=doctors, at=doctors, start=half_hours, capacity=st.integers(1, 2))
    def add_a_slot(self, number: int, at: int, start: int, capacity: int) -> None:
        doctor, clinic = self.doctor(number), self.world.clinics[at]
        body = {
            "doctor_id": doctor.id,
            "clinic_id": str(clinic.clinic_id),
            "start": self.span(start, 1)["start"],
            "capacity": capacity,
        }
        assert doctor.client.post("/slots", json=body).status_code in (201, 409, 422)

    @rule(which=any_one)
    def remove_a_slot(self, which: int) -> None:
        slot = the(self.world.slots(), which, latest=40)
        if slot is not None:
            self._remove(slot)

    @rule(number=any_one, part=any_one, how=st.sampled_from(["leave", "closure", "slot"]))
    def withdraw_a_part_of_a_visit(self, number: int, part: int, how: str) -> None:
        """One of the slots of a long visit, but not the first: that one is withdrawn like any other slot."""
        row = self.long_visit(number)
        if row is None:
            return
        held = row["seats"][1 + part % (len(row["seats"]) - 1)]
        slot = self.db["slots"].find_one({"_id": held["slot"]})
        assert slot is not None
        span = {"start": slot["start"].isoformat(), "end": slot["end"].isoformat()}
        if how == "slot":
            self._remove(slot)
        elif how == "leave":
            answer = self.world.admin.client.post(f"/doctors/{row['doctor_id']}/leaves", json=span)
            if answer.status_code != 422:
                assert answer.status_code == 201, answer.text
                self._check_absence(answer.json(), {"doctor_id": row["doctor_id"]})
        else:
            answer = self.world.nurse.client.post(f"/clinics/{row['clinic_id']}/closures", json=span)
            if answer.status_code != 422:
                assert answer.status_code == 201, answer.text
                self._check_absence(answer.json(), {"clinic_id": row["clinic_id"]})

    def _remove(self, slot: Row) -> None:
        """The report has everybody whose visit takes place in the slot."""
        answer = self.world.nurse.client.delete(f"/slots/{slot['_id']}")
        assert answer.status_code in (200, 404), answer.text
        if answer.status_code == 200:
            inside = [
                row
                for row in self.world.active()
                if row["end"] > slot["start"] and any(held["slot"] == slot["_id"] for held in row["seats"])
            ]
            self.check_report(answer.json(), inside)

    @rule(which=any_one, capacity=st.integers(1, 3))
    def set_a_capacity(self, which: int, capacity: int) -> None:
        slot = the(self.world.slots(), which, latest=40)
        if slot is not None:
            answer = self.world.nurse.client.patch(f"/slots/{slot['_id']}", json={"capacity": capacity})
            assert answer.status_code in (200, 404), answer.text

    @rule(number=doctors, limit=st.sampled_from([None, 1, 2]))
    def limit_the_day(self, number: int, limit: int | None) -> None:
        answer = self.world.admin.client.patch(
            f"/doctors/{self.doctor(number).id}", json={"max_patients_per_day": limit}
        )
        assert answer.status_code == 200, answer.text

    @rule(minutes=st.sampled_from([5, 30, 60, 180, 600]))
    def pass_time(self, minutes: int) -> None:
        self.world.pass_time(minutes)

    @rule()
    def do_timed_work(self) -> None:
        self.run(mark_no_shows())
        self.run(extend_slots())

    def _check_absence(self, taken: Row, whose: Row) -> None:
        """The report of a leave or a closure lists every active appointment in its time."""
        self.check_report(
            taken["report"],
            [
                row
                for row in self.world.active()
                if all(row[key] == value for key, value in whose.items())
                and row["start"].isoformat() < taken["end"].replace("Z", "+00:00")
                and row["end"].isoformat() > taken["start"].replace("Z", "+00:00")
            ],
        )
