"""How far the seed is: a bar on a terminal, one line for each phase where there is none (logs, pipes)."""

import sys
from typing import Any

from tqdm import tqdm


class Progress:
    """Counts records towards a total. Use it as a context manager: leaving it closes the bar."""

    def __init__(self, total: int) -> None:
        # disable=None: no bar unless stderr is a terminal.
        self._bar: tqdm[Any] = tqdm(total=total, desc="Demo data", unit="record", mininterval=0.2, disable=None)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def phase(self, title: str) -> None:
        """Names what is made from now on."""
        if self._bar.disable:
            print(f"Demo data: {title}", file=sys.stderr, flush=True)
        else:
            self._bar.set_description(f"Demo data: {title}")

    def update(self, records: int = 1) -> None:
        """Counts records that are done."""
        self._bar.update(records)
