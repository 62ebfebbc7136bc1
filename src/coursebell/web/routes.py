"""The route of the API: who calls, then what they ask, then the body; each refused in its turn."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_origin

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coursebell.errors import InvalidInputError
from coursebell.web.arguments import Arguments
from coursebell.web.auth import Gate
from coursebell.web.bodies import MAX_BYTES, JsonRequest
from coursebell.web.errors import answered
from coursebell.web.rules import shortened


class ApiRoute(APIRoute):
    """A route behind a gate, which reads JSON strictly and knows its query parameters.

    FastAPI reads its signature and documents it; answering is done here, without FastAPI's
    machinery, which would cost as much as a completion does.
    """

    max_bytes = MAX_BYTES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gate = gate_of(self.dependant)
        self._single, self._repeatable = _parameters(self.dependant)
        self._arguments = Arguments(self.dependant, self.body_field)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.respond

    async def respond(self, request: Request) -> Response:
        """The answer to a request whose path fits. Raises what is wrong with it, in turn."""
        asked = JsonRequest(request.scope, request.receive)
        caller = await self._gate(asked)
        if request.scope["query_string"]:
            refuse_parameters(asked.query_params, self._single, self._repeatable)
        if self.body_field is not None:
            await asked.read(self.max_bytes, self.body_field)
        response: Response = await self.endpoint(**await self._arguments.find(asked, caller))
        return response

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as an application of its own."""
        request = Request(scope, receive)
        try:
            response = await self.respond(request)
        except Exception as error:
            response = await answered(request, error)
        await response(scope, receive, send)


class BulkRoute(ApiRoute):
    """A route for many items at once: its body may be larger."""

    max_bytes = 8 * MAX_BYTES


@dataclass(slots=True)
class _Place:
    """A part of paths: what may follow it, and the routes that end here, by method."""

    named: dict[str, _Place] = dataclasses.field(default_factory=dict)
    any: _Place | None = None  # where a parameter leads
    routes: dict[str, tuple[ApiRoute, Sequence[str]]] = dataclasses.field(default_factory=dict)


class Switchboard:
    """Connects a request to the route of the API that its path and method name.

    FastAPI tries one pattern after another instead. It gets what is not found here: other pages,
    and what ends as 404 or 405.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[ApiRoute]) -> None:
        self._app = app
        self._root = _Place()
        for route in routes:
            self._add(route)

    def _add(self, route: ApiRoute) -> None:
        place, names = self._root, []
        for part in route.path_format.split("/"):
            if part.startswith("{"):
                names.append(part.strip("{}"))
                place.any = place = place.any or _Place()
            else:
                place = place.named.setdefault(part, _Place())
        for method in route.methods or ():
            place.routes.setdefault(method, (route, names))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._find(scope) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
        else:
            await route.serve(scope, receive, send)

    def _find(self, scope: Scope) -> ApiRoute | None:
        place, given = self._root, []
        for part in scope["path"].split("/"):
            follows = place.named.get(part)
            if follows is None:
                if place.any is None or not part:
                    return None
                follows = place.any
                given.append(part)
            place = follows
        if scope["method"] not in place.routes:
            return None
        route, names = place.routes[scope["method"]]
        scope["route"], scope["path_params"] = route, dict(zip(names, given, strict=True))
        return route


def gate_of(dependant: Dependant) -> Gate:
    """The one gate of a route; a route without is a mistake, so there can be none."""
    (gate,) = (found.call for found in dependant.dependencies if isinstance(found.call, Gate))
    return gate


def refuse_parameters(
    query: QueryParams, single: frozenset[str], repeatable: frozenset[str]
) -> None:
    """Raise InvalidInputError for query parameters that are unknown, or repeated without sense."""
    counts = Counter(name for name, _ in query.multi_items())
    broken = {
        shortened(name): "Unknown parameter." if name not in single else "Is given more than once."
        for name, count in counts.items()
        if name not in repeatable and (name not in single or count > 1)
    }
    if broken:
        raise InvalidInputError(field_errors=broken)


def _parameters(dependant: Dependant) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the query parameters: those that are given once, and the repeatable ones."""
    fields = dict(_query_fields(dependant))
    repeatable = frozenset(
        name for name, field in fields.items() if get_origin(field.annotation) is list
    )
    return frozenset(fields) - repeatable, repeatable


def _query_fields(dependant: Dependant) -> Iterator[tuple[str, FieldInfo]]:
    """The query parameters of a route, which stand in one model."""
    for parameter in dependant.query_params:
        model = cast("type[BaseModel]", parameter.field_info.annotation)
        for name, field in model.model_fields.items():
            yield field.alias or name, field
