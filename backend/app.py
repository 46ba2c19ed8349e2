"""The application: its lifespan, middleware and error handlers around the API.

`uvicorn backend.app:app` from the project's root serves it; `python -m backend serve` does that and a bit more.
"""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from backend import api, health, openapi
from backend.core import metrics
from backend.core.cache.response_cache import response_cache
from backend.core.http import errors
from backend.core.http.middleware import BodyLimit, PlainStartFailure, Requests
from backend.core.http.route_index import index_routes
from backend.core.logging import configure_logging
from backend.core.mongo.client import connect
from backend.core.settings import settings
from backend.documents import CACHED, DOCUMENTS
from backend.worker import timed_work

VERSION = "1.0.0"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connects to the database and starts timed work before the first request; ends both after the last.

    Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    async with AsyncExitStack() as running:
        running.callback(metrics.forget_process)
        if not settings.MONGODB_URL:  # never in production
            from backend.devtools.embedded import embedded_mongodb  # noqa: PLC0415

            running.enter_context(embedded_mongodb())
        app.state.database = database = await connect(DOCUMENTS)
        running.push_async_callback(database.close)
        waiting = await running.enter_async_context(database.waiting())
        await running.enter_async_context(response_cache.running(database.handle, waiting, CACHED))
        app.state.timed_work = None
        if settings.SCHEDULER_ENABLED:
            app.state.timed_work = await running.enter_async_context(timed_work())
        # What was created so far stays. A full collection would look through all of it: a tenth of a second in which
        # nobody is answered.
        gc.collect()
        gc.freeze()
        yield


class Application(FastAPI):
    """FastAPI, but for the document that describes the API."""

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document, completed once."""
        if self.openapi_schema is None:
            openapi.complete(super().openapi(), public=api.PUBLIC, roles=api.roles_by_operation(self))
        assert self.openapi_schema is not None  # noqa: S101 - FastAPI keeps it there
        return self.openapi_schema


def create_app() -> FastAPI:
    """Builds the application. Nothing is started before its lifespan begins."""
    configure_logging()
    app = Application(
        title=openapi.TITLE,
        version=VERSION,
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.tags(),
        license_info={"name": "MIT", "identifier": "MIT"},
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,
        # A redirect would go where the request's Host header says, and leave TLS behind a proxy.
        redirect_slashes=False,
    )
    errors.install(app)
    # From the inside out.
    app.add_middleware(BodyLimit, largest=settings.MAX_BODY_BYTES)
    app.add_middleware(Requests)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After", "Idempotent-Replayed", "Location"],
        max_age=600,
    )
    app.add_middleware(CorrelationIdMiddleware, update_request_header=False)
    app.add_middleware(PlainStartFailure)
    app.include_router(health.router)
    app.include_router(api.build_router())
    if not (settings.in_production or settings.has_carrier):
        from backend.devtools import simulated_phone  # noqa: PLC0415 - nothing in production imports it

        app.include_router(simulated_phone.router)
    api.require_login_everywhere(app)
    if settings.ROUTE_INDEX_ENABLED:
        index_routes(app)
    return app


app = create_app()
