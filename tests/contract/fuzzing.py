"""Sends the fuzzer's cases as each role, aimed at things that exist, and holds the answers against the document.

A random id is an id that nothing has, and a wholly random body is refused for its first field. So ids are
replaced by those of things that belong to the caller, and of every second body all but one field is made valid.
"""

import copy
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.overrides import Override
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.contract.document import DOCUMENT, OPERATIONS, faults
from tests.contract.test_roles import ROLES, ROWS
from tests.contract.world import Call, World
from tests.factories import PASSWORD, Run

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

_ID = re.compile(r"[0-9a-f]{24}")
_USES = 5
"""Requests after which a caller gets new things to act on: the old ones may be used up."""

_REQUESTS_A_WORLD = 200
"""Requests after which all is made anew, before a book is full."""


def open_document() -> BaseSchema:
    """The OpenAPI document as the fuzzer reads it."""
    schema = schemathesis.openapi.from_dict(copy.deepcopy(DOCUMENT), config=SchemathesisConfig())
    schema.config.generation.update(with_security_parameters=False)
    return schema


class Fuzzing:
    """The world of one operation, and a session for each role."""

    def __init__(self, operation: APIOperation, run: Run[Any], base_url: str) -> None:
        self.operation = operation
        self._operation = OPERATIONS[operation.definition.raw["operationId"]]
        self._run = run
        self._base_url = base_url
        self._session = requests.Session()
        self._session.trust_env = False
        self._sent = 0
        *expected, self._recipe = ROWS[self._operation.id]
        able = [role for role, status in zip(ROLES, expected, strict=True) if status < 400]
        self._turns = itertools.cycle(able)

    def bounds(self) -> Iterator[Case[Any]]:
        """Requests that try the bounds of each field, the lack of each, other methods and content types."""
        return CoverageGenerator(
            operation=self.operation,
            generation_modes=list(GenerationMode),
            generation_config=self.operation.schema.config.generation,
            auth_storage=None,
            override=Override({}, {}, {}, {}, {}),
            feedback=FeedbackSources(),
        )

    def anything(self) -> SearchStrategy[Case[Any]]:
        """Random requests, half of which fit the schema."""
        return st.one_of(self.operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    def as_everybody(self, case: Case[Any]) -> list[str]:
        """What is wrong with the answers to a case from each role. Best empty."""
        return [finding for role in ROLES for finding in self._send_as(role, case)]

    def as_somebody(self, case: Case[Any]) -> list[str]:
        """The same for one of the roles that may do it, by turns."""
        return self._send_as(next(self._turns), case)

    def _send_as(self, role: str, case: Case[Any]) -> list[str]:
        self._prepare(role)
        aimed = self._aimed(case, self._valid[role], Random(f"{role} {case!r}"))
        headers = {"Authorization": f"Bearer {self._tokens[role]}"} if role != "nobody" else {}
        answer = aimed.call(base_url=self._base_url, session=self._session, headers=headers)
        if answer.status_code == 401:
            self._tokens.pop(role, None)  # a request has ended its own login, or somebody else's
        found = [f"{role}: {fault}" for fault in self._faults(aimed, answer)]
        try:
            aimed.validate_response(answer, checks=CHECKS)
        except FailureGroup as failure:
            found.append(f"{role}: {failure}")
        return found

    def _prepare(self, role: str) -> None:
        """A login that lives, and something of the caller's to act on."""
        if self._sent % _REQUESTS_A_WORLD == 0:
            self._world = World(self._run)
            self._department = str(self._world.department().department_id)
            self._valid: dict[str, Call] = {}
            self._tokens: dict[str, str] = {}
            self._uses: Counter[str] = Counter()
        self._sent += 1
        if self._uses[role] % _USES == 0:
            if role == "patient":
                self._world.patient = self._world.new_patient()  # the old one may have no time left
            self._tokens.pop(role, None)
            self._valid.pop(role, None)
        self._uses[role] += 1
        if role not in self._tokens:
            self._world.caller = self._world.person(role)
            self._tokens[role] = self._world.caller.token if self._world.caller else ""
        if role not in self._valid:
            self._world.caller = None if role == "nobody" else getattr(self._world, role)
            self._valid[role] = self._recipe(self._world)

    def _faults(self, case: Case[Any], answer: Any) -> list[str]:
        if str(case.method).upper() != self._operation.method:
            return []
        kind = (answer.headers.get("content-type") or [""])[0]
        plain = httpx.Response(answer.status_code, headers={"content-type": kind}, content=answer.content)
        return faults(self._operation, plain)

    def _aimed(self, case: Case[Any], valid: Call, random: Random) -> Case[Any]:
        """The case with things that exist in place of ids that nothing has. Sometimes the case itself."""
        if random.random() < 0.2 or str(case.method).upper() != self._operation.method:
            return case
        known = self._known(valid)
        body = self._real(case.body, known)
        if isinstance(body, dict) and isinstance(valid.json, dict) and random.random() < 0.5:
            body = _nearly(valid.json, body, random)
        path = self._real(dict(case.path_parameters or {}), known)
        query = self._real(dict(case.query or {}), known)
        if (path, query, body) == (case.path_parameters, case.query, case.body):
            return case
        return case.operation.Case(
            method=case.method,
            path_parameters=path,
            headers=case.headers,
            query=query,
            **({} if body is NOT_SET else {"body": body, "media_type": case.media_type}),
        )

    def _known(self, valid: Call) -> dict[str, str]:
        """Ids of things that exist, by the names under which requests name them."""
        world = self._world
        given = {name: value for name, value in (valid.json or {}).items() if isinstance(value, str)}
        return {
            "clinic_id": str(world.clinic.clinic_id),
            "clinic_ids": str(world.clinic.clinic_id),
            "doctor_id": world.doctor.id,
            "assigned_doctor_id": world.doctor.id,
            "department_id": self._department,
            "patient_id": world.patient.id,
            "current_password": PASSWORD,
            **given,
            **valid.ids,
        }

    def _real(self, value: Any, known: dict[str, str], name: str = "") -> Any:
        """The value with each id in it replaced by a known one of its name."""
        if isinstance(value, dict):
            return {key: self._real(each, known, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self._real(each, known, name) for each in value]
        if isinstance(value, str) and name in known and (_ID.fullmatch(value) or name == "current_password"):
            return known[name]
        return value


def _nearly(valid: dict[str, Any], other: dict[str, Any], random: Random) -> dict[str, Any]:
    """The valid body, mostly with one field of the other."""
    names = sorted(other)
    taken = [random.choice(names)] if names and random.random() < 0.8 else []
    return {**valid, **{name: other[name] for name in taken}}
