"""Serving the API from the command line: everything that comes before and after uvicorn."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import ChangeReload, Multiprocess

from backend.core.logging import configure_logging
from backend.core.settings import SettingsError, settings
from backend.documents import DOCUMENTS
from backend.startup import connect, database_server

if TYPE_CHECKING:
    from seed.credentials import DemoLogin

T = TypeVar("T")

log = logging.getLogger(__name__)

GRACE_SECONDS = 20
"""How long requests under way may take when the server is told to stop."""

_WATCH_SECONDS, _RESTART_SECONDS = 0.2, 1


def serve(*, host: str, port: int, workers: int, demo: bool, reload: bool = False) -> int:
    """Serves until Ctrl-C or SIGTERM. Returns the exit code; what went wrong is on stderr.

    Several workers serve requests alone; one more process does the timed work. `reload` starts the one worker again
    whenever the code changes.

    Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    if demo and settings.in_production:
        raise SettingsError("--demo: there are no demo people in ENVIRONMENT=production.")
    configure_logging()
    try:
        listener = _listen(host, port)
    except OSError as error:
        reason = f"Can't listen on {host}, port {port}: {error.strerror}."
        print(f"{reason} Choose another port with PORT=… or --port.", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _leave)
    with listener, database_server(), _shared_metrics(workers):
        logins = _run_until_told(_prepare(demo))
        signal.signal(signal.SIGTERM, _leave)  # uvicorn hands the signal on when it is through with it
        if demo:
            print(_where_to_look(host, port, logins), flush=True)
        log.info("serving", extra={"host": host, "port": port, "workers": workers})
        return _run(listener, workers, reload=reload)


def _leave(*_: object) -> None:
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Takes the port before anything else is done."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen()  # only now it is nobody else's; who calls early waits
    listener.set_inheritable(True)
    return listener


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    """Gives several workers a folder of one run, in which their counts are added up."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="clinic-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield


async def _prepare(demo: bool) -> "list[DemoLogin]":
    """Waits for the database and creates its indexes, once for all workers; fills it if it is to be a demo."""
    if demo:
        from seed.run import ensure_demo  # noqa: PLC0415 - the only place that knows of demo data

        return await ensure_demo()
    async with connect(DOCUMENTS):
        return []


def _run_until_told(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`; Ctrl-C and SIGTERM cancel the work, again and again until it has ended.

    (Once isn't enough: in Python 3.11 `asyncio.wait_for`, which PyMongo uses, loses a cancellation now and then.)
    """

    async def cancellable() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in one

        def cancel() -> None:
            task.cancel()
            loop.call_later(0.5, cancel)

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, cancel)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _where_to_look(host: str, port: int, logins: "list[DemoLogin]") -> str:
    shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104
    width = max((len(login.email) for login in logins), default=0)
    people = [f"    {login.role:<8} {login.email:<{width}}  {login.password}" for login in logins]
    phone = f"\n  Its SMS, and replies:      http://{shown}:{port}/dev/phone\n"
    return "\n".join(
        [
            f"\n  The appointment book is on http://{shown}:{port}",
            f"  Try it at                  http://{shown}:{port}/docs  (Authorize with one of these)\n",
            *people,
            phone if settings.offers_simulated_phone else "",
            "  Ctrl-C stops it.\n",
        ]
    )


def _run(listener: socket.socket, workers: int, *, reload: bool) -> int:
    config = uvicorn.Config(
        "backend.app:app",
        workers=workers,
        reload=reload,
        reload_dirs=["backend"] if reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    if reload:
        ChangeReload(config, target=uvicorn.Server(config).run, sockets=[listener]).run()
        return 0
    if workers == 1:
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
        return 0 if server.started else STARTUP_FAILURE
    supervisor = Multiprocess(config, sockets=[listener])
    with _worker_process():
        supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


@contextmanager
def _worker_process() -> Iterator[None]:
    """Leaves timed work to a process of its own until the block ends; one that dies is started again."""
    if not settings.SCHEDULER_ENABLED:
        yield
        return
    environment = dict(os.environ)
    os.environ["SCHEDULER_ENABLED"] = "false"  # of the web processes
    ending = threading.Event()
    command = [sys.executable, "-m", "backend", "worker", "--beside-web"]

    def keep_running() -> None:
        while True:
            worker = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command
            while worker.poll() is None:
                if ending.wait(_WATCH_SECONDS):
                    worker.terminate()
                    with suppress(subprocess.TimeoutExpired):
                        worker.wait(GRACE_SECONDS)
                    worker.kill()
                    return
            log.error("the worker ended with code %s; it is started again", worker.returncode)
            if ending.wait(_RESTART_SECONDS):
                return

    thread = threading.Thread(target=keep_running, name="worker")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
