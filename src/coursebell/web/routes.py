"""The route of the API: who calls, then what they ask, then the body; each refused in its turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any, cast, get_origin

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from coursebell.errors import InvalidInputError
from coursebell.web.auth import Gate
from coursebell.web.bodies import MAX_BYTES, Json, JsonRequest
from coursebell.web.errors import refusal_of
from coursebell.web.rules import shortened


class ApiRoute(APIRoute):
    """A route behind a gate, which reads JSON strictly and knows its query parameters."""

    max_bytes = MAX_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        gate = gate_of(self.dependant)
        single, repeatable = _parameters(self.dependant)
        body_field = self.body_field

        async def handle_in_turn(request: Request) -> Response:
            request = JsonRequest(request.scope, request.receive)
            await gate.admit(request)
            refuse_parameters(request.query_params, single, repeatable)
            if body_field is not None:
                await request.read(self.max_bytes, partial(validated, body_field))
            return await handle(request)

        return handle_in_turn


class BulkRoute(ApiRoute):
    """A route for many items at once: its body may be larger."""

    max_bytes = 8 * MAX_BYTES


def validated(field: ModelField, body: Json) -> object:
    """The body as its model, which FastAPI then takes as it is. Raises InvalidInputError."""
    value, problems = field.validate(body, loc=("body",))
    if problems:
        raise refusal_of(problems)
    return value


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
