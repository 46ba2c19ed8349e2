"""Which domain errors a route can raise, read from the source: what it calls, followed to every `raise`.

It follows functions by name: through modules, dependencies of routes, signals' handlers, and functions within
functions. What is caught and not raised again is left out. It asks no conditions, so it may find too much;
`test_openapi` names what it finds that can't come.
"""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from backend.accounts import errors as accounts_errors
from backend.core.events import Signal
from backend.core.http.errors import DomainError

Errors = frozenset[type[DomainError]]
_Named = tuple[str, str]  # a function's module and qualified name

# Makes errors from a table, which no reader of source can follow.
_MADE_FROM_A_TABLE: dict[_Named, Errors] = {
    ("backend.accounts.errors", "duplicate_error"): frozenset(
        {accounts_errors.EmailTaken, accounts_errors.LicenseTaken}
    )
}


def raised_by_routes(app: FastAPI) -> dict[str, Errors]:
    """The errors of each operation, by its id."""
    functions = {
        route.name or "": {_name_of(call) for call in _called_for(route.dependant)}
        for route in iter_route_contexts(app.routes)
        if (route.path or "").startswith("/api/")
    }
    known = _raised_by(frozenset().union(*functions.values()))
    return {name: frozenset().union(*(known[each] for each in called)) for name, called in functions.items()}


def _called_for(dependant: Dependant) -> Iterator[Any]:
    """A route's function and those it depends on."""
    if inspect.isfunction(dependant.call):
        yield dependant.call
    for each in dependant.dependencies:
        yield from _called_for(each)


def _name_of(function: Any) -> _Named:
    return function.__module__, function.__qualname__.replace(".<locals>", "")


@cache
def _functions_of(module: str) -> dict[str, ast.AST]:
    """A module's functions by qualified name, those of classes and those within functions too."""
    found: dict[str, ast.AST] = {}

    def collect(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[prefix + child.name] = child
                collect(child, f"{prefix}{child.name}.")
            else:
                collect(child, prefix)

    collect(ast.parse(inspect.getsource(sys.modules[module])), "")
    return found


def _raised_by(starts: Iterable[_Named]) -> dict[_Named, Errors]:
    """All errors of functions and of those that they call. It goes round until nothing new turns up."""
    known: dict[_Named, Errors] = dict.fromkeys(starts, frozenset())
    while True:
        before = dict(known)
        for module, name in before:
            found = _Reader(module, known).read(_functions_of(module).get(name))
            known[module, name] = frozenset(found) | _MADE_FROM_A_TABLE.get((module, name), frozenset())
        if known == before:
            return known


class _Reader:
    """Reads functions of one module. Functions that they call are added to `known`."""

    def __init__(self, module: str, known: dict[_Named, Errors]) -> None:
        self._names = dict(vars(sys.modules[module]))
        self._known = known

    def read(self, node: ast.AST | None) -> Iterator[type[DomainError]]:
        """The errors that a piece of code can raise."""
        if node is None:
            return
        if isinstance(node, ast.arg):
            self._names.pop(node.arg, None)  # a parameter hides the module's name
        if isinstance(node, ast.Try):
            yield from self._read_try(node)
            return
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            yield from self._errors_of(self._meant_by(raised))
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from self._called(self._meant_by(node))
        for child in ast.iter_child_nodes(node):
            yield from self.read(child)

    def _read_try(self, node: ast.Try) -> Iterator[type[DomainError]]:
        caught = tuple(
            kind
            for handler in node.handlers
            if not any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(handler))
            for kind in self._kinds(handler.type)
        )
        for child in node.body:
            yield from (error for error in self.read(child) if not issubclass(error, caught))
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            yield from self.read(rest)

    def _kinds(self, node: ast.expr | None) -> list[type]:
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        meant = [self._meant_by(each) for each in nodes if each is not None]
        return [kind for kind in meant if isinstance(kind, type)]

    def _meant_by(self, node: ast.expr) -> Any:
        """What a name stands for in the module; None where that can't be said."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._meant_by(node.value)
            if isinstance(owner, ModuleType | type | Signal):
                return getattr(owner, node.attr, None)
        return None

    def _called(self, meant: Any) -> Iterator[type[DomainError]]:
        """The errors of what is named: a function, or the handlers of a signal that is sent."""
        owner = getattr(meant, "__self__", None)
        functions = [meant]
        if isinstance(owner, Signal):
            functions = owner._handlers if meant.__name__ == "send" else []
        for function in functions:
            plain = getattr(function, "__func__", function)
            if isinstance(plain, FunctionType) and plain.__module__.startswith("backend."):
                yield from self._known.setdefault(_name_of(plain), frozenset())

    def _errors_of(self, meant: Any) -> Iterator[type[DomainError]]:
        """The error that is raised by name, or that a function makes, as its annotation says."""
        made = inspect.get_annotations(meant).get("return") if isinstance(meant, FunctionType) else meant
        if isinstance(made, type) and issubclass(made, DomainError) and made is not DomainError:
            yield made
