"""Logs: one JSON object a line, to stdout and perhaps a file, for the application and the server under it."""

import logging
import sys
import traceback
from logging import LogRecord
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from asgi_correlation_id import correlation_id
from concurrent_log_handler import ConcurrentRotatingFileHandler
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from backend.core.settings import settings

FILE_BYTES = 10_000_000
OLDER_FILES = 5

_TOO_TALKATIVE = {
    "apscheduler": logging.WARNING,  # says twice a minute that it works
    "asgi_correlation_id": logging.ERROR,  # warns of request ids of others' making
    "httpx": logging.WARNING,
}

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonLine(JsonFormatter):
    """A record as JSON, with the id of the request it belongs to.

    Of exceptions it shows types and code, but not their messages, which may repeat what a patient entered;
    these only with LOG_LEVEL=DEBUG.
    """

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        )

    def add_fields(self, log_data: dict[str, Any], record: LogRecord, message_dict: dict[str, Any]) -> None:
        """The usual ones, and the request's id."""
        super().add_fields(log_data, record, message_dict)
        if request_id := correlation_id.get():
            log_data["request_id"] = request_id

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - logging's name
        """The traceback as far as it holds no data."""
        if settings.LOG_LEVEL == "DEBUG":
            return "".join(traceback.format_exception(ei[1])).rstrip()
        return _where(ei[1]) if ei[1] is not None else ""


def _where(error: BaseException) -> str:
    """A chain of exceptions without their messages, the first cause first."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{_where(cause)}\n\n" if cause is not None else ""
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{before}{frames}{name}"


class _Stdout(logging.StreamHandler[TextIO]):
    """Writes to whatever is stdout at the time."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        """Looked up anew for each line."""
        return sys.stdout

    @stream.setter
    def stream(self, _: TextIO) -> None:
        raise AttributeError("it is always stdout")


def log_file(path: Path, *, largest: int = FILE_BYTES, older: int = OLDER_FILES) -> ConcurrentRotatingFileHandler:
    """A rotating file that several processes may write: `largest` bytes, and so many older files beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return ConcurrentRotatingFileHandler(
        path, maxBytes=largest, backupCount=older, encoding="utf-8", lock_file_directory=str(path.parent)
    )


def configure_logging() -> None:
    """Sends everything to stdout and LOG_FILE. Calling it again replaces what it set up before."""
    handlers: list[logging.Handler] = [_Stdout()]
    if settings.LOG_FILE is not None:
        handlers.append(log_file(settings.LOG_FILE))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Stdout | ConcurrentRotatingFileHandler)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(JsonLine())
        root.addHandler(handler)
    root.setLevel(settings.LOG_LEVEL)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    access = logging.getLogger("uvicorn.access")  # ours says more, and no query strings
    access.handlers.clear()
    access.propagate = False
    for name, level in _TOO_TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
