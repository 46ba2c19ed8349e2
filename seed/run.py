"""Seeds the demo: once, in whatever state an earlier run left it, through the services."""

from datetime import datetime, timedelta
from random import Random

import pymongo
from beanie import Document
from pydantic import Field

from backend.accounts.documents import User
from backend.core import clock
from backend.core.clock import utc_now
from backend.core.settings import settings
from backend.documents import DOCUMENTS
from backend.startup import connect
from seed import book, scenes, staff
from seed.credentials import DemoLogin, new_password, store, stored
from seed.progress import Progress

LOOK_BACK = timedelta(days=24)
"""How far into the past the demo's book reaches."""

_PATIENCE_SECONDS = 600

DEFAULT_RANDOM_SEED = 20261121


class SeedRefused(Exception):
    """This database is not for demo data. The message says why."""


class SeedRun(Document):
    """That a database was seeded: from which random seed, as of which moment, and whether to the end."""

    id: str = "demo"  # type: ignore[assignment]  # there is one
    random_seed: int
    anchor: datetime
    finished_at: datetime | None = None
    created_at: datetime = Field(default_factory=utc_now)

    class Settings:
        name = "seed_runs"
        keep_nulls = False


async def ensure_demo() -> list[DemoLogin]:
    """Seeds the settings' database if nobody is in it. Returns a login of each role; none for other people's data."""
    async with connect([*DOCUMENTS, SeedRun]):
        run = await SeedRun.get("demo")
        if run is None and await User.find_one({}, sort=[("_id", 1)]) is not None:
            return []
        return await seed_demo(random_seed=DEFAULT_RANDOM_SEED)


async def seed_demo(*, random_seed: int, force: bool = False) -> list[DemoLogin]:
    """Makes the demo, or what an interrupted run left out of it; a finished one is left as it is.

    Needs an open connection. Raises `SeedRefused` for production, or people who are not of the demo, unless
    forced.
    """
    run = await SeedRun.get("demo")
    if not force:
        await _refuse_strangers(run)
    if run is not None and run.finished_at is not None:
        return stored()
    if run is None:
        run = await SeedRun(random_seed=random_seed, anchor=utc_now()).insert()
    await _seed(run)
    await SeedRun.find_one({"_id": "demo"}).update({"$set": {"finished_at": utc_now()}})
    return stored()


async def _refuse_strangers(run: SeedRun | None) -> None:
    if settings.in_production:
        raise SeedRefused("ENVIRONMENT is production: demo data doesn't belong here. --force overrides.")
    if run is None and await User.find_one({}, sort=[("_id", 1)]) is not None:
        raise SeedRefused(
            f"Database {settings.DATABASE_NAME} already has users who are not of the demo. --force overrides."
        )


async def _seed(run: SeedRun) -> None:
    # The logins are on disk before the first of them exists, so that an interrupted run never loses them.
    logins = stored() or staff.demo_logins(new_password())
    store(logins)
    # Many slots are written at the same time: a single write may take longer than a request's may.
    with Progress(staff.RECORDS + book.RECORDS + len(scenes.SCENES)) as progress, pymongo.timeout(_PATIENCE_SECONDS):
        with clock.stopped(run.anchor - LOOK_BACK):
            people = await staff.make(Random(run.random_seed), password=logins[0].password, progress=progress)
        await book.fill(people, random_seed=run.random_seed, anchor=run.anchor, progress=progress)
        await scenes.add(people, anchor=run.anchor, progress=progress)
