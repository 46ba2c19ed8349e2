"""Files by which processes on one machine know of others that work on the same database. A courtesy to each other:
nothing relies on them, and where they can't be made each process goes by what it knows itself.
"""

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from backend.core.settings import settings

log = logging.getLogger(__name__)


def path_of(what: str) -> Path:
    """Where the file lies."""
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:  # nothing here can be written to: opening it will tell
        folder = "/nonexistent"
    about = f"{settings.MONGODB_URL} {settings.DATA_DIR.absolute()} {settings.DATABASE_NAME} {what}"
    return Path(folder, f"clinic-{os.getuid()}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.shared")


def open_file(path: Path) -> int | None:
    """Opens the file, made if it isn't there; None if that can't be, or if it is somebody else's."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.debug("nothing is shared with other processes at %s: %s", path, error)
        return None
    if os.fstat(file).st_uid == os.getuid():
        return file
    os.close(file)  # whoever owns it could cut it short under us
    return None


def is_still_at(file: int, path: Path) -> bool:
    """Whether the path leads to the open file; another process may have removed it."""
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except OSError:
        return False
