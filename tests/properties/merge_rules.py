"""Records of one person that are merged, and taken apart again, in the random stories."""

from typing import Any

from hypothesis.stateful import invariant, rule

from tests.factories import Run
from tests.properties.small_world import Db, Row
from tests.properties.story import Story, any_one, the


class MergeRules(Story):
    """Merging two records, and undoing it."""

    def __init__(self, run: Run[Any], db: Db) -> None:
        super().__init__(run, db)
        self.brought: dict[Any, set[Any]] = {}
        """The appointments that a merged record had when it was merged."""

    @rule(one=any_one, other=any_one)
    def merge(self, one: int, other: int) -> None:
        members = self.world.members
        self._merge(*(members[number % len(members)].patient_id for number in (one, other)))

    @rule(number=any_one, one=any_one)
    def merge_and_separate(self, number: int, one: int) -> None:
        """A record with an appointment. Left to chance, few merges that move anything are ever undone."""
        row = the(self.world.active(), number)
        if row is None:
            return
        before = {record["_id"] for record in self._merged()}
        self._merge(self.world.members[one % len(self.world.members)].patient_id, str(row["patient_id"]))
        for record in self._merged():
            if record["_id"] not in before:
                self._separate(record)

    @rule(number=any_one)
    def separate(self, number: int) -> None:
        record = the(self._merged(), number)
        if record is not None:
            self._separate(record)

    def _merge(self, survivor: str, loser: str) -> None:
        """The other id leads to the survivor afterwards."""
        rows, merged = self.world.appointments(), {record["_id"] for record in self._merged()}
        answer = self.world.admin.client.post(f"/patients/{survivor}/merge", json={"other_id": loser})
        assert answer.status_code in (200, 409, 422), answer.text
        if answer.status_code == 200:
            both = [self.world.nurse.client.get(f"/patients/{each}").json()["id"] for each in (survivor, loser)]
            assert both[0] == both[1]
            for record in self._merged():
                if record["_id"] not in merged:
                    self.brought[record["_id"]] = {row["_id"] for row in rows if row["patient_id"] == record["_id"]}

    def _separate(self, loser: Row) -> None:
        """The record has the appointments again that it brought, but for those at whose time it is elsewhere now."""
        body = {"other_id": str(loser["_id"])}
        answer = self.world.admin.client.post(f"/patients/{loser['merged_into']}/merge/undo", json=body)
        assert answer.status_code in (200, 404, 409), answer.text
        if answer.status_code == 200:
            assert self.world.nurse.client.get(f"/patients/{loser['_id']}").json()["id"] == str(loser["_id"])
            brought = self.brought.pop(loser["_id"])
            for row in self.world.appointments():
                if row["_id"] in brought and row["patient_id"] != loser["_id"]:
                    assert "merge" in _causes(row), row

    def _merged(self) -> list[Row]:
        return list(self.db["patients"].find({"merged_into": {"$exists": True}}, hint=[("_id", 1)]))

    @invariant()
    def what_is_left_at_a_merged_record_is_a_conflict(self) -> None:
        """Nothing else of a merged record is active."""
        patients = {row["_id"]: row for row in self.db["patients"].find({}, hint=[("_id", 1)])}
        for row in self.world.active():
            if patients[row["patient_id"]].get("merged_into"):
                assert "merge" in _causes(row), row


def _causes(row: Row) -> set[str]:
    """The kinds of what needs, or needed, a decision about an appointment."""
    return {cause["kind"] for cause in [*(row.get("needs_decision") or []), *(row.get("kept_despite") or [])]}
