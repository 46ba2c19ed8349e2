"""Holds our requests and the emulator's answers against `contract.json`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

CONTRACT = Path(__file__).with_name("contract.json")


@dataclass
class Request:
    """A request, in the shape that openapi-core reads."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    host_url: str = "https://api.twilio.com"
    parameters: RequestParameters = field(init=False)

    def __post_init__(self) -> None:
        self.method = self.method.lower()
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(self.query, keep_blank_values=True)),
            header=Headers(self.headers),
        )

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").lower()


@dataclass
class Response:
    """An answer, in the shape that openapi-core reads."""

    status_code: int
    data: bytes
    content_type: str = "application/json"
    headers: Headers = field(default_factory=Headers)


class Contract:
    """Each check returns what is wrong in words, or an empty string."""

    def __init__(self) -> None:
        document = json.loads(CONTRACT.read_text())
        self._openapi = OpenAPI.from_dict(document)
        messages = document["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]
        form = messages["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
        self._form = form["properties"]
        self._query = {each["name"] for each in messages["get"]["parameters"] if each["in"] == "query"}

    def fault_in_request(self, request: Request) -> str:
        """Also names that the contract doesn't know, and repeated ones: openapi-core passes over those of
        forms and queries.
        """
        wrong = self._wrong_names(request)
        if wrong:
            return f"{request.method} {request.path}: {', '.join(wrong)}"
        try:
            self._openapi.validate_request(request)
        except OpenAPIError as error:
            return _in_words(request, error)
        return ""

    def fault_in_answer(self, request: Request, response: Response) -> str:
        """What is wrong with an answer to the request."""
        try:
            self._openapi.validate_response(request, response)
        except OpenAPIError as error:
            return f"answer {response.status_code} to {_in_words(request, error)}"
        return ""

    def _wrong_names(self, request: Request) -> list[str]:
        query = [name for name, _ in parse_qsl(request.query, keep_blank_values=True)]
        if request.method == "post":
            form = [name for name, _ in parse_qsl(request.body.decode(), keep_blank_values=True)]
            single = [name for name in form if self._form.get(name, {}).get("type") != "array"]
            return _unknown(form, self._form) + _repeated(single) + _unknown(query, ())
        allowed = self._query if request.path.endswith("/Messages.json") else ()
        return _unknown(query, allowed) + _repeated(query)


def _unknown(names: Iterable[str], known: Iterable[str]) -> list[str]:
    return [f"{name} is not known" for name in names if name not in known]


def _repeated(names: list[str]) -> list[str]:
    return [f"{name} is repeated" for name in sorted(set(names)) if names.count(name) > 1]


def _in_words(request: Request, error: Any) -> str:
    """The values are test data; a validator's message repeats them."""
    causes = getattr(error.__cause__, "schema_errors", None) or [error.__cause__ or error]
    texts = [getattr(cause, "message", str(cause)) for cause in causes]
    return f"{request.method} {request.path}: {type(error).__name__}: {'; '.join(texts)}"
