"""What patients, their families and the front desk do in the random stories."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.properties.small_world import Kind
from tests.properties.story import Story, any_one, doctors, the

STATUS_AFTER = {
    "confirm": "confirmed",
    "cancel": "cancelled",
    "check-in": "checked_in",
    "complete": "completed",
    "no-show": "no_show",
    "undo-check-in": None,  # what it was before
    "left": "left",
}
OF_PATIENTS = ("cancel", "confirm")

PATIENT_IS_ELSEWHERE = "PATIENT_DOUBLE_BOOKED"
NOT_OFFERED = {
    *("SLOT_TAKEN", "SLOT_NOT_OPEN", "DAY_FULL", "NOT_ENOUGH_TIME", "VISIT_TYPE_NOT_OFFERED", "NOTICE_TOO_SHORT"),
    *("TOO_MANY_OPEN_BOOKINGS", PATIENT_IS_ELSEWHERE),
}


class VisitRules(Story):
    """Booking, and what becomes of a visit."""

    @initialize(number=any_one, who=any_one, what=any_one)
    def begin_with_a_long_visit(self, number: int, who: int, what: int) -> None:
        """Left to chance, few stories have one of which a part is withdrawn, or that is rescheduled or cancelled."""
        kind = self.world.kinds[what % len(self.world.kinds)]
        offered = list(self.world.offered(kind, staff=True))
        body = {
            **{"slot_id": offered[number % len(offered)], "visit_type_id": kind.id},
            "patient_id": self.world.members[who % len(self.world.members)].patient_id,
        }
        answer = self.world.nurse.client.post("/appointments", json=body)
        assert answer.status_code == 201, answer.text

    @rule(number=any_one, who=any_one, what=any_one, by_nurse=st.booleans(), from_search=st.booleans())
    def book(self, number: int, who: int, what: int, by_nurse: bool, from_search: bool) -> None:
        """Booking accepts what the search offers, and nothing else."""
        kind, member = self.kind(what), self.world.members[who % len(self.world.members)]
        offered = self.world.offered(kind, staff=by_nurse)
        choice = list(offered) if from_search else [str(slot["_id"]) for slot in self.world.slots()[-40:]]
        if not choice:
            return
        slot_id = choice[number % len(choice)]
        body = {"slot_id": slot_id, "patient_id": member.patient_id, **({"visit_type_id": kind.id} if kind else {})}
        person = self.world.nurse if by_nurse else member.account
        answer = person.client.post("/appointments", json=body)
        if answer.status_code == 201:
            assert slot_id in offered, "booked what was not offered"
            self._check_open_bookings(kind, member.patient_id, by_nurse=by_nurse)
        else:
            refusals = {PATIENT_IS_ELSEWHERE, "TOO_MANY_OPEN_BOOKINGS"} if slot_id in offered else NOT_OFFERED
            assert answer.json()["error_code"] in refusals, answer.text

    def _check_open_bookings(self, kind: Kind | None, patient_id: str, *, by_nurse: bool) -> None:
        if kind is None or kind.open_bookings_per_patient is None or by_nurse:
            return
        mine = [row for row in self.world.active() if str(row["patient_id"]) == patient_id]
        numbers = [
            row["open_number"] for row in mine if str(row.get("visit_type_id")) == kind.id and "open_number" in row
        ]
        assert len(numbers) == len(set(numbers)) <= kind.open_bookings_per_patient

    @rule(number=any_one, transition=st.sampled_from(sorted(STATUS_AFTER)), with_version=st.booleans())
    def make_a_transition(self, number: int, transition: str, with_version: bool) -> None:
        row = the(self.world.appointments(), number)
        if row is None:
            return
        body = {"version": row["version"]} if with_version else {}
        answer = self.world.admin.client.post(f"/appointments/{row['_id']}/{transition}", json=body)
        assert answer.status_code in (200, 409), answer.text
        if answer.status_code == 200:
            assert answer.json()["status"] == (STATUS_AFTER[transition] or answer.json()["history"][-1]["status"])

    @rule(
        number=any_one,
        then=st.sampled_from(["complete", "left", "undo-check-in", "cancel", "reschedule"]),
        to=any_one,
    )
    def come_in(self, number: int, then: str, to: int) -> None:
        """A patient comes ten minutes early; then the visit takes place, or doesn't."""
        row = the([each for each in self.world.active() if each["start"] > self.world.now], number)
        if row is None or row["start"] - self.world.now > timedelta(hours=12):
            return
        early = row["start"] - timedelta(minutes=10) - self.world.now
        if early > timedelta():
            self.world.pass_time(int(early.total_seconds()) // 60)
        path = f"/appointments/{row['_id']}"
        checked_in = self.world.nurse.client.post(f"{path}/check-in")
        assert checked_in.status_code in (200, 409), checked_in.text
        if then == "reschedule":
            self.reschedule_to(row["_id"], to)
            return
        answer = self.world.admin.client.post(f"{path}/{then}")
        assert answer.status_code in (200, 409), answer.text
        if checked_in.status_code == answer.status_code == 200 and then != "undo-check-in":
            assert answer.json()["status"] == STATUS_AFTER[then]

    @rule(number=any_one, who=any_one, action=st.sampled_from(OF_PATIENTS))
    def act_for_the_family(self, number: int, who: int, action: str) -> None:
        """An account acts for its own patients; the appointments of others are not there."""
        row = the(self.world.appointments(), number)
        if row is None:
            return
        account = self.world.patients[who % len(self.world.patients)]
        if self.db["patients"].find_one({"_id": row["patient_id"], "merged_into": {"$exists": True}}):
            return  # the staff decide what becomes of it
        links = self.db["patient_links"].find({"user_id": account.user.user_id})
        mine = {str(link["patient_id"]) for link in links}
        answer = account.client.post(f"/appointments/{row['_id']}/{action}")
        if str(row["patient_id"]) not in mine:
            assert (answer.status_code, answer.json()["error_code"]) == (404, "APPOINTMENT_NOT_FOUND")
            assert self.db["appointments"].find_one({"_id": row["_id"]}) == row
        else:
            assert answer.status_code in (200, 409), answer.text

    @rule(number=any_one, outcome=st.sampled_from(["checked_in", "completed"]))
    def correct_a_no_show(self, number: int, outcome: str) -> None:
        row = the([row for row in self.world.appointments() if row["status"] == "no_show"], number)
        if row is None:
            return
        answer = self.world.admin.client.post(f"/appointments/{row['_id']}/correct-no-show", json={"status": outcome})
        assert answer.status_code in (200, 409), answer.text

    @rule(number=any_one, to=any_one)
    def reschedule(self, number: int, to: int) -> None:
        row = the(self.world.appointments(), number)
        if row is not None:
            self.reschedule_to(row["_id"], to)

    def reschedule_to(self, appointment_id: object, to: int) -> None:
        """A refused request leaves the appointment as it was."""
        before, offered = self.db["appointments"].find_one({"_id": appointment_id}), self.world.offered(staff=True)
        if not offered:
            return
        slot_id = list(offered)[to % len(offered)]
        answer = self.world.nurse.client.post(f"/appointments/{appointment_id}/reschedule", json={"slot_id": slot_id})
        assert answer.status_code in (200, 409, 422), answer.text
        now = self.db["appointments"].find_one({"_id": appointment_id})
        if answer.status_code == 200:
            assert str(now and now["seats"][0]["slot"]) == slot_id
        else:
            assert now == before

    @rule(number=any_one)
    def keep(self, number: int) -> None:
        row = the([row for row in self.world.appointments() if row.get("needs_decision")], number)
        if row is None:
            return
        found = self.world.nurse.client.post(f"/appointments/{row['_id']}/keep")
        assert found.status_code == 200, found.text
        assert not found.json()["needs_decision"]

    @rule(number=any_one, other_doctor=st.booleans(), of=doctors)
    def transfer_a_day(self, number: int, other_doctor: bool, of: int) -> None:
        """What the report says has moved, and nothing else."""
        doctor, substitute = self.doctor(of), self.doctor(1 - of)
        row = the([row for row in self.world.active() if row["doctor_id"] == doctor.object_id], number)
        if row is None:
            return
        later = (self.world.now + timedelta(days=1)).date().isoformat()
        target = {"to_doctor_id": substitute.id} if other_doctor else {"to_date": later}
        before = {str(each["_id"]): each for each in self.world.active()}
        path = f"/doctors/{doctor.id}/days/{row['clinic_day']}/transfer"
        answer = self.world.nurse.client.post(path, json=target)
        if answer.status_code != 200:
            assert answer.json()["error_code"] in ("IN_THE_PAST", "TRANSFER_ONTO_ITSELF"), answer.text
            return
        moved = {each["appointment_id"]: each for each in answer.json()["moved"]}
        stayed = {each["appointment_id"] for each in answer.json()["not_moved"]}
        of_day = {
            key
            for key, each in before.items()
            if each["doctor_id"] == doctor.object_id and each["clinic_day"] == row["clinic_day"]
        }
        assert moved.keys() | stayed == of_day
        assert moved.keys().isdisjoint(stayed)
        for each in self.world.active():
            key = str(each["_id"])
            if key in moved:
                assert str(each["doctor_id"]) == moved[key]["to_doctor_id"]
                assert str(each["seats"][0]["slot"]) == moved[key]["to_slot_id"]
            else:
                assert each == before[key]
