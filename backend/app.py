"""The application: its lifespan, middleware and error handlers around the API.

`uvicorn backend.app:app` from the project's root serves it; `python -m backend serve` does that and a bit more.
"""

import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from backend import __version__, api, health
from backend.core import metrics
from backend.core.cache.response_cache import response_cache
from backend.core.logging import configure_logging
from backend.core.settings import settings
from backend.documents import CACHED, DOCUMENTS
from backend.startup import PlainStartFailure, connect, database_server
from backend.web import api_description, error_handlers, openapi, pages
from backend.web.middleware import BodyLimit, Requests
from backend.web.route_index import index_routes
from backend.web.unknown_parameters import KnownParameters
from backend.worker import timed_work

log = logging.getLogger(__name__)

_SWITCHES = ("RESPONSE_CACHE_ENABLED", "REQUEST_BATCHING_ENABLED", "ROUTE_INDEX_ENABLED", "SLOT_HINTS_ENABLED")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connects to the database and starts timed work before the first request; ends both after the last.

    Raises `SettingsError` and `DatabaseStartError`.
    """
    settings.check()
    async with AsyncExitStack() as running:
        running.callback(metrics.forget_process)
        _say_what_is_on()
        if settings.OTEL_ENABLED:
            from backend.web.tracing import tracing  # noqa: PLC0415 - not loaded where it is off

            running.enter_context(tracing())
        running.enter_context(database_server())
        app.state.database = database = await running.enter_async_context(connect(DOCUMENTS))
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


def _say_what_is_on() -> None:
    """Logs which mechanisms for speed are on."""
    log.info("mechanisms for speed", extra={name: getattr(settings, name) for name in _SWITCHES})
    metrics.slot_hints_on.set(settings.SLOT_HINTS_ENABLED)  # the cache sets its own


class Application(FastAPI):
    """FastAPI, but for the document that describes the API."""

    def openapi(self) -> dict[str, Any]:
        """FastAPI's document, completed once."""
        if self.openapi_schema is None:
            openapi.complete(super().openapi(), api.access_by_operation(self))
        assert self.openapi_schema is not None  # noqa: S101 - FastAPI keeps it there
        return self.openapi_schema


def _span_namer() -> Callable[[str, str], None] | None:
    if not settings.OTEL_ENABLED:
        return None
    from backend.web.tracing import name_span  # noqa: PLC0415 - not loaded where it is off

    return name_span


def create_app() -> FastAPI:
    """Builds the application. Nothing is started before its lifespan begins."""
    configure_logging()
    app = Application(
        title=api_description.TITLE,
        version=__version__,
        summary=api_description.SUMMARY,
        description=api_description.DESCRIPTION,
        openapi_tags=[{"name": name, "description": text} for name, text in api_description.TAGS.items()],
        license_info={"name": "MIT", "identifier": "MIT"},
        lifespan=lifespan,
        docs_url=None,  # `pages` serves both without a foreign host
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        # A redirect would go where the request's Host header says, and leave TLS behind a proxy.
        redirect_slashes=False,
        telemetry={
            "tracing": settings.OTEL_ENABLED,
            "operation_spans": False,  # a span per dependency
            "metrics": False,  # `/metrics` has them
            "logs": False,  # with the texts of exceptions
            "auto_configure": False,  # `web/tracing` does it, without query strings
        },
    )
    error_handlers.install(app)
    # From the inside out.
    # Twilio's requests are exempt: a parameter that it adds one day must not lose a patient's reply.
    app.add_middleware(KnownParameters, exempt=api.SIGNED)
    app.add_middleware(BodyLimit, largest=settings.MAX_BODY_BYTES)
    app.add_middleware(Requests, name_span=_span_namer())
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        # A development server may run on any port.
        allow_origin_regex=None if settings.in_production else r"http://(localhost|127\.0\.0\.1)(:[0-9]+)?",
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "X-Request-ID"],
        expose_headers=["ETag", "Idempotent-Replayed", "Location", "Retry-After", "X-Request-ID"],
        max_age=600,
    )
    app.add_middleware(CorrelationIdMiddleware, update_request_header=False)
    app.add_middleware(PlainStartFailure)
    app.include_router(pages.router)
    app.include_router(health.router)
    app.include_router(api.build_router())
    if settings.offers_simulated_phone:
        from backend.devtools import simulated_phone  # noqa: PLC0415 - nothing in production imports it

        app.include_router(simulated_phone.router)
    api.require_login_everywhere(app)
    if settings.ROUTE_INDEX_ENABLED:
        index_routes(app)
    return app


app = create_app()
