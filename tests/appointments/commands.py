"""The commands that the application sends to the database, as the server's own profiler records them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

APPLICATION = "clinic-appointments"
_WRITES = ("findAndModify", "insert", "update", "delete")  # the first holds an `update` of its own
CALLER = (("find", "users"), ("aggregate", "patient_links"))
"""Who is asking, and for which patients they act."""
_READS = ("find", "aggregate", "count", "distinct", "getMore")


class Commands:
    """What was sent during a `recorded` block; filled when it ends."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def _named(self, names: tuple[str, ...]) -> list[tuple[str, str]]:
        found = []
        for entry in self.entries:
            # Updates and deletions are recorded each by itself, without the command that brought them.
            name = next((name for name in names if name in entry["command"] or entry["op"] == name), None)
            if entry["op"] == "remove" and "delete" in names:
                name = "delete"
            if name is not None:
                found.append((name, entry["ns"].partition(".")[2]))
        return found

    @property
    def all_reads(self) -> list[tuple[str, str]]:
        """The reads: command and collection, in order."""
        return self._named(_READS)

    @property
    def reads(self) -> list[tuple[str, str]]:
        """The reads: command and collection, in order. Without those of `CALLER`, which may be remembered."""
        found = self.all_reads
        for each in CALLER:
            if each in found:
                found.remove(each)
        return found

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The writes, the refused ones too: command and collection, in order."""
        return self._named(_WRITES)

    @property
    def others(self) -> list[str]:
        """Whatever is neither: transactions, above all."""
        known = (*_READS, *_WRITES)
        return [
            next(iter(entry["command"]), entry["op"])
            for entry in self.entries
            if entry["op"] not in ("update", "remove") and not any(name in entry["command"] for name in known)
        ]

    @property
    def documents_examined(self) -> int:
        """How many documents the server looked at."""
        return sum(entry.get("docsExamined", 0) for entry in self.entries)


@contextmanager
def recorded(db: Database[dict[str, Any]]) -> Iterator[Commands]:
    """Records every command of the application on the tests' database."""
    db.drop_collection("system.profile")
    db.command("profile", 2)
    commands = Commands()
    try:
        yield commands
    finally:
        db.command("profile", 0)
        found = db["system.profile"].find({"appName": APPLICATION}, sort=[("$natural", 1)])
        commands.entries = [entry for entry in found if not entry["ns"].endswith("system.profile")]
        db.drop_collection("system.profile")
