"""Uses the embedded MongoDB where MONGODB_URL is empty."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from backend.core.mongo.client import DatabaseStartError
from backend.core.settings import settings
from backend.devtools.mongod import Mongod, MongodError


@contextmanager
def embedded_mongodb() -> Iterator[None]:
    """Runs the embedded MongoDB until the block ends, and with it the program: for this process and its children.

    Blocks while it starts. Raises `DatabaseStartError`.
    """
    mongod = Mongod(settings.DATA_DIR / "mongodb")
    try:
        settings.MONGODB_URL = os.environ["MONGODB_URL"] = mongod.start()
    except MongodError as error:
        raise DatabaseStartError(str(error)) from None
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave it behind
            signal.signal(number, signal.SIG_IGN)
        mongod.release()
