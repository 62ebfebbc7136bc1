"""The HTTP application. Making it has no side effect: no file, no connection, no thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import APIRouter, FastAPI

from coursebell.domain.model import Actor
from coursebell.storage.database import Database
from coursebell.web import docs, errors
from coursebell.web.bases import Bases

Authenticate = Callable[[str, datetime], Actor]


def create_app(
    database: Database, authenticate: Authenticate, routers: Sequence[APIRouter]
) -> FastAPI:
    app = FastAPI(
        title="Coursebell",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False},
    )
    app.state.database = database
    app.state.authenticate = authenticate
    app.add_middleware(Bases)
    app.add_middleware(errors.LastResort)
    errors.install(app)
    docs.install(app)
    for router in routers:
        app.include_router(router)
    return app
