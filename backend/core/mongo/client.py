"""The connection to the MongoDB of MONGODB_URL. `backend/startup.py` waits for it and creates the indexes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI

from backend.core.settings import settings

LONGEST_OPERATION_SECONDS = 5
"""What one operation may take: finding a primary, waiting for a connection, the answer, all repetitions. Then a
request gets its 503. Work that needs longer says so, with `pymongo.timeout(seconds)` around it."""

_NAME = "clinic-appointments"


class DatabaseStartError(Exception):
    """The application can't start on its database. The message says why and what to do."""


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
        async with open_client(self._url, appname=f"{_NAME}-changes", **waits) as client:
            yield client[settings.DATABASE_NAME]

    async def ping(self) -> None:
        """Asks the primary for a sign of life, for at most two seconds; raises PyMongo's errors."""
        with pymongo.timeout(2):
            await self.client.admin.command("ping")

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.close()


def address_of(url: str) -> str:
    """A MongoDB URL without user, password and options."""
    scheme = url.partition("://")[0]
    return f"{scheme}://{url.rpartition('@')[2].removeprefix(f'{scheme}://').partition('?')[0]}"


def open_client(url: str, **other: Any) -> AsyncMongoClient[dict[str, Any]]:
    """Opens a client whose writes survive the loss of any one server. Raises `DatabaseStartError` for a bad URL."""
    options = {
        "tz_aware": True,
        "appname": _NAME,
        "connectTimeoutMS": 3000,
        "timeoutMS": LONGEST_OPERATION_SECONDS * 1000,
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
