"""The switchboard finds what FastAPI's router would, and leaves it the rest."""

import asyncio

import pytest
from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from coursebell.web.auth import Learner
from coursebell.web.routes import ApiRoute, Switchboard

router = APIRouter(prefix="/api/v5/lamps", route_class=ApiRoute)


@router.get("/lit")
async def lit(_caller: Learner):
    return PlainTextResponse()


@router.get("/{lamp_id}")
async def one(lamp_id: str, _caller: Learner):
    return PlainTextResponse(lamp_id)


@router.put("/{name}")
async def change(name: str, _caller: Learner):
    return PlainTextResponse(name)


@router.get("/{lamp_id}/wicks/{wick_id}")
async def wick(lamp_id: str, wick_id: str, _caller: Learner):
    return PlainTextResponse(lamp_id + wick_id)


@pytest.mark.parametrize(
    ("method", "path", "name", "given"),
    [
        ("GET", "/api/v5/lamps/lit", "lit", {}),
        ("GET", "/api/v5/lamps/a", "one", {"lamp_id": "a"}),
        ("PUT", "/api/v5/lamps/a", "change", {"name": "a"}),
        ("GET", "/api/v5/lamps/a/wicks/b", "wick", {"lamp_id": "a", "wick_id": "b"}),
        ("PUT", "/api/v5/lamps/lit", None, None),
        ("POST", "/api/v5/lamps/a", None, None),
        ("GET", "/api/v5/lamps", None, None),
        ("GET", "/api/v5/lamps/", None, None),
        ("GET", "/api/v5/lamps//wicks/b", None, None),
        ("GET", "/api/v5/lamps/a/b", None, None),
        ("GET", "/", None, None),
    ],
)
def test_a_path_leads_to_its_route_and_what_fits_none_goes_on(method, path, name, given):
    came = []

    async def beyond(scope, _receive, _send):
        came.append(scope)

    class Noted(ApiRoute):
        async def serve(self, scope, _receive, _send):
            came.append(scope)

    noted = APIRouter(route_class=Noted)
    for route in router.routes:
        noted.add_api_route(route.path, route.endpoint, methods=list(route.methods))
    scope = {"type": "http", "method": method, "path": path}

    asyncio.run(Switchboard(beyond, noted.routes)(scope, None, None))

    assert came == [scope]
    assert getattr(scope.get("route"), "name", None) == name
    assert scope.get("path_params") == given
