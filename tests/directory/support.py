"""What the tests of the directory share: bodies of requests, and short ways to send them."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

_number = itertools.count(1)

NOWHERE = "0123456789abcdef01234567"
"""An id that nothing has."""


def new_clinic(**over: Any) -> dict[str, Any]:
    """The body of a clinic in Boston."""
    return {
        "name": f"Harbour Clinic {next(_number)}",
        "city": "Boston",
        "time_zone": "America/New_York",
        **over,
    }


def new_doctor(*clinic_ids: Any, **over: Any) -> dict[str, Any]:
    """The body of a cardiologist at the clinics."""
    n = next(_number)
    return {
        "name": f"Dr. Number {n:04}",
        "email": f"dr.number{n}@example.com",
        "password": "correct horse battery",
        "specialty": "Cardiology",
        "license_number": f"MA-{n:06}",
        "clinic_ids": [str(each) for each in clinic_ids],
        **over,
    }


def made(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a POST that must succeed."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def read(client: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    """The answer to a GET that must succeed."""
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def changed(client: httpx.Client, path: str, **fields: Any) -> dict[str, Any]:
    """The answer to a PATCH that must succeed."""
    answer = client.patch(path, json=fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(client: httpx.Client, path: str, **params: Any) -> list[str]:
    """The names on the first page of a list."""
    return [row["name"] for row in read(client, path, **params)["items"]]


def pages(client: httpx.Client, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    """All pages of a list."""
    found = []
    cursor: dict[str, str] = {}
    while True:
        page = read(client, path, **params, **cursor)
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def code(answer: httpx.Response) -> tuple[int, str | None]:
    """What an answer is: status and error code."""
    return answer.status_code, None if answer.is_success else answer.json()["error_code"]


def faults(answer: httpx.Response) -> list[str]:
    """The names of the fields that a refused request got wrong."""
    assert code(answer) == (422, "VALIDATION_ERROR"), answer.text
    return [".".join(str(part) for part in fault["loc"][1:]) for fault in answer.json()["errors"]]


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Makes the calls from one thread each."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
