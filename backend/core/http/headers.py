"""Headers of requests and answers: versions for `If-Match`, and where something new lies."""

import re
from typing import Annotated, Any

from fastapi import Depends, Header, Response

NO_VERSION = -1
"""The version of an `If-Match` that no answer of ours had."""

_ETAG = re.compile(r'(?:W/)?"([0-9]{1,15})"')

ETAG_HEADER: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "The version, for `If-Match`.", "schema": {"type": "string"}}}}
}
"""Documents the `ETag` of a route: `responses={**ETAG_HEADER, **responses(…)}`."""


def set_etag(response: Response, version: int) -> None:
    """Sends the version that `If-Match` accepts."""
    response.headers["ETag"] = f'"{version}"'


def set_location(response: Response, path: str) -> None:
    """Sends where the thing just created can be read: a path below the API's prefix, as `/patients/…`."""
    response.headers["Location"] = f"/api/v1{path}"


async def _expected_version(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match",
            max_length=200,
            description="The `ETag` that you read. The change is made only if it is still the present one.",
        ),
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    return int(found[1]) if found else NO_VERSION


ExpectedVersion = Annotated[int | None, Depends(_expected_version)]
"""The version that `If-Match` names: None without the header, `NO_VERSION` for one that can't be ours.

A service compares it in the same write that makes the change, and raises `EditConflict`.
"""
