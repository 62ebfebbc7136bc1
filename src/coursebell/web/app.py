"""The HTTP application. Making it has no side effect: no file, no connection, no thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from coursebell.metrics import Metrics
from coursebell.services import accounts
from coursebell.services.registrar import Registrar
from coursebell.web import docs, errors, health, openapi
from coursebell.web.api import v5, zapier
from coursebell.web.auth import Authenticate, Porter
from coursebell.web.bases import Bases
from coursebell.web.batches import Together
from coursebell.web.health import Measured
from coursebell.web.routes import ApiRoute, Switchboard
from coursebell.web.valve import Valve

MAX_REQUESTS = 500


def create_app(
    registrar: Registrar,
    metrics: Metrics,
    check_ready: Callable[[], None],
    *,
    max_requests: int = MAX_REQUESTS,
) -> FastAPI:
    """The APIs with their documentation and the operator's pages.

    `check_ready` raises a CoursebellError while requests could not be served. Beyond
    `max_requests` at once, requests are refused.
    """
    app = assemble(registrar, accounts.authenticate, [*v5.ROUTERS, zapier.router])
    app.add_middleware(Valve, requests=max_requests, refused=metrics.refused)
    app.add_middleware(Measured, metrics=metrics)
    health.install(app, metrics, check_ready)
    return app


def assemble(
    registrar: Registrar, authenticate: Authenticate, routers: Sequence[APIRouter]
) -> FastAPI:
    """An application of `routers` that behaves in every general respect as the API does."""
    app = FastAPI(
        title="Coursebell",
        version=version("coursebell"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"auto_configure": False},
    )
    app.state.registrar = registrar
    app.state.porter = Porter(registrar, authenticate)
    app.state.together = Together(registrar)
    app.add_middleware(Switchboard, routes=[route for each in routers for route in _routes(each)])
    app.add_middleware(Bases)
    app.add_middleware(errors.LastResort)
    errors.install(app)
    docs.install(app)
    openapi.install(app)
    for router in routers:
        app.include_router(router)
    return app


def _routes(router: APIRouter) -> list[ApiRoute]:
    return [route for route in router.routes if isinstance(route, ApiRoute)]
