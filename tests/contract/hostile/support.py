"""What a hostile client sends with, and how the server must look while and after it does."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pymongo.database import Database

from tests.contract.support import contents


@dataclass(frozen=True)
class Raw:
    """An answer read off the socket."""

    status: int
    headers: httpx.Headers
    body: bytes


def send_raw(base_url: str, request: bytes) -> Raw:
    """Sends bytes as they are, and reads until the server closes the connection."""
    host, port = base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    pairs = [tuple(field.split(b": ", 1)) for field in fields]
    return Raw(int(line.split()[1]), httpx.Headers(pairs), body)  # type: ignore[arg-type]  # two parts each


def is_refusal(answer: httpx.Response) -> bool:
    """Whether it is a 4xx in the shape of all errors, under an id of ours."""
    body: dict[str, Any] = answer.json()
    return (
        400 <= answer.status_code < 500
        and answer.headers["content-type"] == "application/json"
        and isinstance(body.get("detail"), str)
        and isinstance(body.get("error_code"), str)
        and len(answer.headers["x-request-id"]) == 32
    )


@contextmanager
def nothing_changes(db: Database[dict[str, Any]]) -> Iterator[None]:
    """Holds that what is stored after the block is what was stored before."""
    before = contents(db)
    yield
    assert contents(db) == before
