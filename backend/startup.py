"""Connects to the database at start, and says in words why the application can't start."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import pymongo
from beanie import Document, init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.uri_parser import parse_uri
from pymongo.errors import ConnectionFailure, ExecutionTimeout, OperationFailure, PyMongoError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.core.mongo.client import Database, DatabaseStartError, address_of, open_client
from backend.core.settings import SettingsError, settings

log = logging.getLogger(__name__)

_LONGEST_INDEX_BUILD_SECONDS = 3600
_AUTHENTICATION_FAILED = 18
_INDEX_CONFLICTS = {85: "its options", 86: "its keys"}


class _Unready(Exception):
    """The database can't be used yet, but may be soon."""


def database_server() -> AbstractContextManager[None]:
    """Runs the embedded MongoDB until the block ends if MONGODB_URL is empty. Raises `DatabaseStartError`."""
    if settings.MONGODB_URL:
        return nullcontext()
    from backend.devtools.embedded import embedded_mongodb  # noqa: PLC0415 - nothing in production imports it

    return embedded_mongodb()


@asynccontextmanager
async def connect(documents: Sequence[type[Document]]) -> AsyncIterator[Database]:
    """Connects until the block ends. Waits DATABASE_START_TIMEOUT_SECONDS for the server; creates missing indexes.

    Safe to run in several processes at once. Raises `DatabaseStartError`.
    """
    url = settings.MONGODB_URL
    database = Database(client=open_client(url), address=address_of(url), _url=url)
    try:
        await _wait_until_usable(database, url)
        await _create_indexes(database, documents)
        where = {"address": database.address, "database": settings.DATABASE_NAME}
        log.info("database connected", extra=where)
        yield database
    finally:
        await database.close()


async def _wait_until_usable(database: Database, url: str) -> None:
    deadline = time.monotonic() + settings.DATABASE_START_TIMEOUT_SECONDS
    while True:
        try:
            await _require_replica_set(database, url)
        except _Unready as reason:
            left = deadline - time.monotonic()
            if left <= 0:
                raise DatabaseStartError(
                    f"Gave up after {settings.DATABASE_START_TIMEOUT_SECONDS} s: {reason}"
                ) from None
            log.warning("waiting for the database: %s", reason)
            await asyncio.sleep(min(1, left))
        else:
            return


async def _require_replica_set(database: Database, url: str) -> None:
    """Raises `_Unready`, or `DatabaseStartError` for what waiting doesn't mend."""
    try:
        with pymongo.timeout(3):
            hello = await database.client.admin.command("hello")
        _refuse_standalone(hello, database.address)
        await database.ping()
    except OperationFailure as error:
        if error.code == _AUTHENTICATION_FAILED:
            raise DatabaseStartError(
                f"MongoDB at {database.address} refuses the user or password of MONGODB_URL."
            ) from None
        raise _Unready(f"MongoDB at {database.address} returned an error: {type(error).__name__}.") from None
    except PyMongoError:
        raise _Unready(await _why_no_primary(database.address, url)) from None


async def _why_no_primary(address: str, url: str) -> str:
    """Asks the first server named in the URL directly, whatever it is a member of."""
    try:
        parsed = await parse_uri(url)
        host, port = parsed["nodelist"][0]
        tls = {name: value for name, value in parsed["options"].items() if name.lower().startswith("tls")}
        async with AsyncMongoClient(host, port, directConnection=True, timeoutMS=1500, **tls) as client:
            hello: dict[str, Any] = await client.admin.command("hello")
    except (PyMongoError, ValueError):
        return (
            f"MongoDB at {address} can't be reached. Start it, or correct MONGODB_URL, "
            "or leave MONGODB_URL empty to use the embedded one."
        )
    if hello.get("isreplicaset"):
        return (
            f"MongoDB at {address} runs as a replica set that has never been initiated. Run once:\n"
            f"    mongosh --host {host} --port {port} --eval 'rs.initiate()'"
        )
    _refuse_standalone(hello, address)
    members = ", ".join(hello.get("hosts", []))
    return (
        f"MongoDB at {address} answers, but the replica set {hello.get('setName')} has no primary that can "
        f"be reached from here. It names its members {members}: these names must be reachable."
    )


def _refuse_standalone(hello: dict[str, Any], address: str) -> None:
    if "setName" in hello or hello.get("msg") == "isdbgrid":
        return
    raise DatabaseStartError(
        f"MongoDB at {address} is a standalone server. The appointment book needs a replica set (of one "
        "member is enough), so that what was answered is never lost. Restart it and initiate it once:\n"
        "    mongod --replSet rs0 …    (in mongod.conf:  replication: {replSetName: rs0})\n"
        "    mongosh --eval 'rs.initiate()'\n"
        "Or leave MONGODB_URL empty to use the embedded MongoDB, which is one already."
    )


async def _create_indexes(database: Database, documents: Sequence[type[Document]]) -> None:
    with pymongo.timeout(_LONGEST_INDEX_BUILD_SECONDS):
        try:
            await init_beanie(database=database.handle, document_models=list(documents))
        except OperationFailure as error:
            if error.code not in _INDEX_CONFLICTS:
                raise
            raise DatabaseStartError(
                f"An index in the database {settings.DATABASE_NAME} at {database.address} differs from the "
                f"declared one in {_INDEX_CONFLICTS[error.code]}. Drop it and start again: {error.details}"
            ) from None
        except (ConnectionFailure, ExecutionTimeout):
            raise DatabaseStartError(
                f"MongoDB at {database.address} went away while indexes were being created."
            ) from None


class PlainStartFailure:
    """Tells the server why the application can't start in words, where Starlette would send a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests on."""

        async def send_plainly(message: Message) -> None:
            error = sys.exc_info()[1]  # Starlette sends from within `except`
            is_failure = message["type"] == "lifespan.startup.failed"
            if is_failure and isinstance(error, SettingsError | DatabaseStartError):
                message["message"] = str(error)
            await send(message)

        await self.app(scope, receive, send_plainly if scope["type"] == "lifespan" else send)
