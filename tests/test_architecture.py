"""The conventions of the project, as far as a machine can check them."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import backend
from backend.core.http import errors
from backend.core.http.errors import DomainError

ROOT = Path(__file__).parents[1]

LAYERS = [
    "core",
    "accounts",
    "patients",
    "directory",
    "scheduling",
    "appointments",
    "messaging",
    "reports",
    "devtools",
    "web",
]
"""The packages of `backend`. Each may import itself and those to its left."""

TOP = [
    "startup",
    "job_runs",
    "documents",
    "jobs",
    "worker",
    "health",
    "api",
    "app",
    "create_admin",
    "serving",
    "__main__",
]
"""The modules beside them. Each may import all packages, and the modules to its left."""

LONGEST_FILE = 350
LONGEST_ROUTE = 20


@dataclass(frozen=True)
class Source:
    """A source file, parsed."""

    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text())

    @property
    def name(self) -> str:
        """As `backend.core.clock`."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    def imports(self) -> Iterator[str]:
        """Every module imported, anywhere in the file, as `backend.core.clock` or `backend.core.clock.utc_now`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path} imports relatively"
                assert node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def calls(self) -> Iterator[str]:
        """The text of everything that is called, as `datetime.now`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func)


@cache
def sources(*folders: str) -> list[Source]:
    return [Source(path) for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def rank(module: str) -> tuple[int, int]:
    """Where a module of `backend` stands: packages below the modules beside them."""
    part = module.split(".")[1]
    return (0, LAYERS.index(part)) if part in LAYERS else (1, TOP.index(part))


def test_imports_go_one_way() -> None:
    wrong = [
        f"{source.name} imports {module}"
        for source in sources("backend")
        for module in source.imports()
        if module.startswith("backend.") and module != "backend.__version__" and rank(module) > rank(source.name)
    ]
    assert not wrong


def test_the_product_knows_neither_its_tests_nor_its_demo() -> None:
    wrong = [
        f"{source.name} imports {module}"
        for source in sources("backend")
        for module in source.imports()
        if module.startswith("tests") or (module.startswith("seed") and source.name != "backend.serving")
    ]
    assert not wrong


def test_production_imports_no_devtools() -> None:
    """Only where a function is called for them: never while modules are loaded."""
    importing = [
        source.name
        for source in sources("backend")
        for node in source.tree.body
        if isinstance(node, ast.ImportFrom | ast.Import) and "devtools" in ast.unparse(node)
    ]
    assert all(name.startswith("backend.devtools.") for name in importing)


def test_only_the_timetable_knows_the_scheduler() -> None:
    knowing = {
        source.name
        for source in sources("backend", "seed")
        for module in source.imports()
        if module.startswith("apscheduler")
    }
    assert knowing == {"backend.jobs"}


def test_only_the_clock_asks_the_system_for_the_time() -> None:
    asking = {
        f"{source.name} calls {call}"
        for source in sources("backend", "seed")
        for call in source.calls()
        if source.name != "backend.core.clock" and _asks_for_the_time(call)
    }
    assert not asking


def _asks_for_the_time(call: str) -> bool:
    subject, _, method = call.rpartition(".")
    if subject.endswith(("datetime", "date")) and method in ("now", "utcnow", "today"):
        return True
    return call in ("time.time", "time.time_ns", "time.localtime", "time.gmtime")


def test_the_product_never_changes_the_clock() -> None:
    changing = {"backend.core.clock.shifted", "backend.core.clock.stopped"}
    assert not [source.name for source in sources("backend") if changing & set(source.imports())]


def test_only_the_web_speaks_http_errors() -> None:
    speaking = [
        source.name
        for source in sources("backend")
        for module in source.imports()
        if module.endswith(".HTTPException") and not source.name.startswith("backend.web.")
    ]
    assert not speaking


def test_no_document_is_written_back_whole() -> None:
    """It would bring back what others have changed since it was read."""
    written = [
        f"{source.name} calls {call}"
        for source in sources("backend", "seed")
        for call in source.calls()
        if call.endswith((".save", ".save_changes", ".replace_one"))
    ]
    assert not written


def test_files_stay_readable() -> None:
    lengths = {source.name: len(source.path.read_text().splitlines()) for source in sources("backend", "seed")}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FILE}


def test_routes_hide_no_rules() -> None:
    """A route parses, calls a service and answers."""
    long = [
        f"{source.name}.{node.name} has {_lines_of(node)} lines"
        for source in sources("backend")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.AsyncFunctionDef) and any(map(_is_route, node.decorator_list))
        if _lines_of(node) > LONGEST_ROUTE
    ]
    assert not long


def _lines_of(function: ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _is_route(decorator: ast.expr) -> bool:
    methods = {"get", "post", "put", "patch", "delete"}
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] in methods


def _all_errors() -> list[type[DomainError]]:
    for module in pkgutil.walk_packages(backend.__path__, "backend."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[DomainError]) -> Iterator[type[DomainError]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    return sorted(set(below(DomainError)), key=lambda error: error.__qualname__)


def _is_root(error: type[DomainError]) -> bool:
    """What only others derive from, without a code of its own."""
    return bool(error.__subclasses__()) and "code" not in error.__dict__ and error is not errors.BadRequest


KINDS = {errors.NotFound, errors.Conflict, errors.Unprocessable}
ERRORS = [error for error in _all_errors() if error not in KINDS and not _is_root(error)]


def test_kinds_of_errors_are_not_raised_themselves() -> None:
    """A client could not tell what it was."""
    kinds = {kind.__name__ for kind in (DomainError, *KINDS)}
    raised = [
        f"{source.name}:{node.lineno} raises {_raised(node)}"
        for source in sources("backend")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Raise) and _raised(node) in kinds
    ]
    assert not raised


def _raised(node: ast.Raise) -> str:
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return ast.unparse(raised).split(".")[-1] if raised else ""


def test_every_error_has_a_code_of_its_own() -> None:
    codes: dict[str, type[DomainError]] = {}
    for error in ERRORS:
        assert "code" in error.__dict__ or error is errors.BadRequest, f"{error.__name__} has its parent's code"
        assert error.code == error.code.upper()
        assert error.code not in codes, f"{error.__name__} and {codes[error.code].__name__} share a code"
        codes[error.code] = error


def test_every_error_is_in_the_openapi_document() -> None:
    from backend.app import app

    document = app.openapi()
    listed = {
        (status, code)
        for item in document["paths"].values()
        for operation in item.values()
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get("application/json", {}).get("examples", {})
    }
    missing = [e.__name__ for e in ERRORS if (str(e.status), e.code) not in listed]
    assert not missing, f"listed on no route: {missing}"


def test_every_error_says_what_it_means() -> None:
    for error in ERRORS:
        assert error.__doc__, error.__name__
        assert error.detail.endswith("."), error.__name__
