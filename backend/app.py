"""The application: its lifespan, middleware and error handlers around the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from backend import api, health
from backend.core import database, errors
from backend.documents import DOCUMENTS


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connects to the database before the first request; lets go of it after the last."""
    app.state.database = connection = await database.connect(DOCUMENTS)
    try:
        yield
    finally:
        await connection.close()


def create_app() -> FastAPI:
    """Builds the application. Nothing is started before its lifespan begins."""
    app = FastAPI(
        title="Clinic appointment book",
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    errors.install(app)
    app.include_router(health.router)
    app.include_router(api.build_router())
    return app


app = create_app()
