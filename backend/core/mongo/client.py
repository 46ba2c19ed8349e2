"""The connection to the MongoDB of MONGODB_URL, and what is refused about it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
from beanie import Document, init_beanie
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.asynchronous.uri_parser import parse_uri
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from backend.core.settings import settings

log = logging.getLogger(__name__)

LONGEST_OPERATION_SECONDS = 5
"""What one operation may take: finding a primary, waiting for a connection, the answer, all repetitions. Then a
request gets its 503. Work that needs longer says so, with `pymongo.timeout(seconds)` around it."""

_NAME = "clinic-appointments"
_LONGEST_INDEX_BUILD_SECONDS = 3600
_AUTHENTICATION_FAILED = 18
_INDEX_CONFLICTS = {85: "its options", 86: "its keys"}


class DatabaseStartError(Exception):
    """The application can't start on its database. The message says why and what to do."""


class _Unready(Exception):
    """The database can't be used yet, but may be soon."""


@dataclass
class Database:
    """An open connection. `address` may be shown: it holds no password."""

    client: AsyncMongoClient[dict[str, Any]]
    address: str
    _url: str = field(repr=False)

    @property
    def handle(self) -> AsyncDatabase[dict[str, Any]]:
        """The application's database."""
        return self.client[settings.DATABASE_NAME]

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[AsyncDatabase[dict[str, Any]]]:
        """The application's database, by a client whose operations may wait a while for something to happen."""
        waits = {"timeoutMS": None, "socketTimeoutMS": LONGEST_OPERATION_SECONDS * 1000}
        async with _open(self._url, appname=f"{_NAME}-changes", **waits) as client:
            yield client[settings.DATABASE_NAME]

    async def ping(self) -> None:
        """Asks the primary for a sign of life, for at most two seconds; raises PyMongo's errors."""
        with pymongo.timeout(2):
            await self.client.admin.command("ping")

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.close()


async def connect(documents: Sequence[type[Document]]) -> Database:
    """Connects, waiting DATABASE_START_TIMEOUT_SECONDS for the server, and creates missing indexes.

    Safe to run in several processes at once. Raises `DatabaseStartError`.
    """
    url = settings.MONGODB_URL
    database = Database(client=_open(url), address=address_of(url), _url=url)
    try:
        await _wait_until_usable(database, url)
        await _create_indexes(database, documents)
    except BaseException:  # cancelled, too
        await database.close()
        raise
    log.info("database connected", extra={"address": database.address, "database": settings.DATABASE_NAME})
    return database


def address_of(url: str) -> str:
    """A MongoDB URL without user, password and options."""
    scheme = url.partition("://")[0]
    return f"{scheme}://{url.rpartition('@')[2].removeprefix(f'{scheme}://').partition('?')[0]}"


def _open(url: str, **other: Any) -> AsyncMongoClient[dict[str, Any]]:
    options = {
        "tz_aware": True,
        "appname": _NAME,
        "connectTimeoutMS": 3000,
        "timeoutMS": LONGEST_OPERATION_SECONDS * 1000,
        # A booking that was answered survives the loss of any one server, and is seen by whoever asks next.
        "w": "majority",
        "journal": True,
        "readPreference": "primary",
    }
    try:
        return AsyncMongoClient(url, **{**options, **other})
    except (InvalidURI, ConfigurationError, ValueError):
        # PyMongo's own words may repeat parts of the password.
        raise DatabaseStartError(
            "MONGODB_URL is no MongoDB address, such as mongodb://user:password@host:27017/?replicaSet=rs0, "
            "with special characters in user and password written as %40 and the like."
        ) from None


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
        raise _Unready(f"MongoDB at {database.address} answers with {type(error).__name__}.") from None
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
