"""The demo logins: made once, kept in a file that only the owner may read and git ignores."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.core.settings import settings


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """Somebody to log in as."""

    role: str
    email: str
    password: str


def _file() -> Path:
    return settings.DATA_DIR / f"demo-credentials-{settings.DATABASE_NAME}.json"


def new_password() -> str:
    """A password for the demo logins; never a known one, in case the demo is ever reachable."""
    return secrets.token_urlsafe(12)


def store(logins: list[DemoLogin]) -> Path:
    """Writes the logins, readable by the owner alone (mode 600)."""
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump([asdict(login) for login in logins], file, indent=2)
    path.chmod(0o600)
    return path


def stored() -> list[DemoLogin]:
    """The logins of an earlier run; none if their file is gone."""
    try:
        return [DemoLogin(**login) for login in json.loads(_file().read_text())]
    except FileNotFoundError:
        return []
