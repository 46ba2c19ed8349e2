"""What every request goes through. Plain ASGI: a request's task is never split."""

import logging
import time
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.core import metrics
from backend.core.cache.response_cache import begin_request
from backend.core.http.errors import TooLarge
from backend.web.error_handlers import unexpected

access_log = logging.getLogger("backend.access")

UNKNOWN_ROUTE = "unknown"
"""The route of a request that fits none: its path is the client's invention and is neither logged nor counted."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",  # answers are patients' data
    "Referrer-Policy": "no-referrer",
}


class Requests:
    """Measures each request once, for the log and the metrics, and answers what nobody else did.

    The log gets the route's template, not the path; no query, no body, no address. `name_span` gets method and
    template of a request that is traced.
    """

    def __init__(self, app: ASGIApp, name_span: Callable[[str, str], None] | None = None) -> None:
        self.app = app
        self._name_span = name_span
        self._templates: dict[Any, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes other things than requests on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        begin_request(only_reads=scope["method"] == "GET")
        status: int | None = None

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._name_span and (route := self._template(scope)) != UNKNOWN_ROUTE:
                    self._name_span(scope["method"], route)
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_noted)
        except Exception as error:
            answer = await unexpected(Request(scope), error)
            if status is None:
                await answer(scope, receive, send_noted)
            else:
                raise  # the server breaks the connection off: half an answer must not look whole
        finally:
            self._note(scope, status or 500, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._template(scope)
        metrics.observe_request(method=scope["method"], route=route, status=status, seconds=seconds)
        access_log.info(
            "request",
            extra={
                "method": scope["method"],
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
            },
        )

    def _template(self, scope: Scope) -> str:
        if not self._templates:
            app: FastAPI = scope["app"]
            self._templates = {
                route.endpoint: route.path or UNKNOWN_ROUTE for route in iter_route_contexts(app.routes)
            }
        return self._templates.get(scope.get("endpoint"), UNKNOWN_ROUTE)


class BodyLimit:
    """Refuses bodies of more than `largest` bytes, whether they say so at the beginning or not.

    (FastAPI's own limit answers some of them in plain text.)
    """

    def __init__(self, app: ASGIApp, largest: int) -> None:
        self.app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes other things than requests on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._largest:
            error = TooLarge()
            await JSONResponse(error.content(), status_code=error.status)(scope, receive, send)
            return
        read = 0

        async def receive_counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._largest:
                # FastAPI lets only this kind through while it reads a body.
                raise HTTPException(TooLarge.status, TooLarge.detail)
            return message

        await self.app(scope, receive_counted, send)
