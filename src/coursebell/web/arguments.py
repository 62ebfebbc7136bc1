"""What a handler of the API is called with: learned from its signature once, found per request.

FastAPI solves any tree of dependencies at every request, which costs more than all the rest of
its work. Our handlers ask for five things only: the request, who calls, parts of the path, one
model of the query and one of the body.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args
from pydantic import BaseModel

from coursebell.web.auth import Caller, Gate
from coursebell.web.bodies import Json, JsonRequest
from coursebell.web.errors import refusal_of
from coursebell.web.rules import Problem


class Arguments:
    """The arguments of one handler or check. Raises ValueError where it asks for more."""

    def __init__(self, dependant: Dependant, body: ModelField | None = None) -> None:
        if dependant.header_params or dependant.cookie_params or dependant.response_param_name:
            raise ValueError(f"{dependant.call} asks for what no handler of the API is given")
        self._request = dependant.request_param_name
        self._callers: list[str] = []
        self._checks: list[tuple[Any, Arguments]] = []
        for each in dependant.dependencies:
            if not isinstance(each.call, Gate):
                self._checks.append((each.call, Arguments(each)))
            elif each.name is not None:
                self._callers.append(each.name)
        self._path = dependant.path_params
        self._query = dependant.query_params
        self._body = body

    async def find(self, request: JsonRequest, caller: Caller) -> dict[str, Any]:
        """By name. Raises what a check raises, else one refusal that names all that is wrong."""
        for check, arguments in self._checks:
            await check(**await arguments.find(request, caller))
        found: dict[str, Any] = dict.fromkeys(self._callers, caller)
        if self._request is not None:
            found[self._request] = request
        problems: list[Problem] = []
        for field in self._path:
            value, refused = field.validate(
                request.path_params[field.alias], loc=("path", field.alias)
            )
            found[field.name] = value
            problems += refused
        if self._query:
            values, refused = request_params_to_args(self._query, request.query_params)
            found |= values
            problems += refused
        if self._body is not None:
            found[self._body.name], refused = _validated(self._body, request.body_object)
            problems += refused
        if problems:
            raise refusal_of(problems)
        return found


def _validated(field: ModelField, body: Json | BaseModel) -> tuple[Any, list[dict[str, Any]]]:
    """The body as its model, and what is wrong with it. None: there was no body."""
    if body is not None:
        return field.validate(body, loc=("body",))
    if field.field_info.is_required():
        return None, [_MISSING]
    return copy(field.default), []


_MISSING = {"type": "missing", "loc": ("body",)}
