"""Making the first administrator, who makes all other accounts of staff."""

import asyncio
import getpass
import os
import sys
from collections.abc import Callable

from pydantic import ValidationError

from backend.accounts.administration import add_user
from backend.accounts.documents import Role
from backend.accounts.schemas import NewUser
from backend.core.http.errors import DomainError
from backend.core.settings import settings
from backend.documents import DOCUMENTS
from backend.startup import connect, database_server


def create_admin(*, name: str | None, email: str | None, phone: str | None) -> int:
    """Makes an administrator by the API's rules, asking for what is None. Returns the exit code.

    Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    try:
        body = NewUser(
            role=Role.ADMIN,
            name=name or _ask("Name: ", option="--name"),
            email=email or _ask("E-mail: ", option="--email"),
            phone=phone or _ask("Phone: ", option="--phone"),
            password=_password(),
        )
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_context=False):
            print(f"{fault['loc'][0]}: {fault['msg']}", file=sys.stderr)
        return 2
    except EOFError as error:
        print(f"There is nobody to ask: {error}", file=sys.stderr)
        return 2
    try:
        with database_server():
            asyncio.run(_store(body))
    except DomainError as error:
        print(error.detail, file=sys.stderr)
        return 1
    print(f"{body.email} is an administrator.")
    return 0


def _ask(question: str, *, option: str, read: Callable[[str], str] = input) -> str:
    try:
        return read(question)
    except EOFError:
        raise EOFError(f"give {option}.") from None


def _password() -> str:
    if (given := os.environ.get("ADMIN_PASSWORD")) is not None:
        return given
    if not sys.stdin.isatty():
        raise EOFError("set ADMIN_PASSWORD.")
    return _ask("Password (8 characters or more): ", option="ADMIN_PASSWORD", read=getpass.getpass)


async def _store(body: NewUser) -> None:
    async with connect(DOCUMENTS):
        await add_user(body)
