"""What bringing a book in line has done."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a reconciliation did: how many slots it opened and how many it withdrew."""

    opened: int = 0
    withdrawn: int = 0

    def __add__(self, other: "SyncResult") -> "SyncResult":
        return SyncResult(self.opened + other.opened, self.withdrawn + other.withdrawn)
