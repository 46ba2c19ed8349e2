"""One real MongoDB for the whole run of tests, and the settings that point to it.

`begin()` must come before anything imports `backend`: the settings are read then.
"""

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from backend.devtools.mongod import Mongod, MongodError  # knows no settings

ROOT = Path(__file__).parents[2]

_PREFIX = "clinic-test-run-"
_ROOM = 2 * 1024**3


def parent_folder() -> str:
    """Where the database's folder goes: into memory where there is room, for each write is flushed to its disk."""
    memory = "/dev/shm"
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM
    return memory if has_room else tempfile.gettempdir()


@dataclass(frozen=True)
class Environment:
    """Where the tests' database is."""

    mongod: Mongod
    url: str
    database_name: str

    def end(self) -> None:
        """Stops the database and removes its files."""
        self.mongod.release()
        shutil.rmtree(self.mongod.folder, ignore_errors=True)


def begin() -> Environment:
    """Starts `mongod`, with queries that no index serves forbidden, and sets the environment."""
    _end_those_left_behind()
    mongod = Mongod(Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent_folder())), no_table_scan=True)
    for line in (ROOT / ".env.example").read_text().splitlines():
        os.environ.pop(line.partition("=")[0], None)  # what the developer's shell sets is not ours
    environment = Environment(mongod=mongod, url=mongod.start(), database_name=f"test_{os.getpid()}")
    os.environ.update(
        ENV_FILE=os.devnull,
        ENVIRONMENT="development",
        MONGODB_URL=environment.url,
        DATABASE_NAME=environment.database_name,
        SCHEDULER_ENABLED="false",
        STAFF_HORIZON_DAYS="1",  # no further than patients: fewer slots, quicker tests
        LOG_LEVEL="WARNING",
    )
    return environment


def _end_those_left_behind() -> None:
    """Stops the databases of runs that were killed. One that is in use stays: it has other users."""
    for folder in Path(parent_folder()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(MongodError, OSError):
            mongod = Mongod(folder)
            if mongod.pid:
                mongod.start()
                mongod.release()
                if mongod.pid is None:
                    shutil.rmtree(folder, ignore_errors=True)
