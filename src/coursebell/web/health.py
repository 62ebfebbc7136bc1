"""What an operator's machines ask: is it up, can it serve, how is it doing."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coursebell.metrics import CONTENT_TYPE, Metrics

_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"})


class Measured:
    """Counts every answer, by the route's template and never by what a client wrote."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(scope, receive, watched)
        self._count(scope, status, time.monotonic() - start)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.requested(method=method, route=route, status=status, seconds=seconds)


def install(app: FastAPI, metrics: Metrics, check_ready: Callable[[], None]) -> None:
    async def healthz() -> Response:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz() -> Response:
        """Requests can be served: the database answers and has the schema of this version."""
        await run_in_threadpool(check_ready)
        return JSONResponse({"status": "ok"})

    async def scrape() -> Response:
        """The metrics, in Prometheus' text format."""
        return Response(await run_in_threadpool(metrics.render), media_type=CONTENT_TYPE)

    for path, page in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", scrape)):
        app.add_api_route(path, page, include_in_schema=False)
