"""The OpenAPI document: what each operation answers, and what webhooks are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from coursebell.domain.changes import Unset
from coursebell.domain.events import EventName
from coursebell.web.bases import ZAPIER
from coursebell.web.event_schemas import SCHEMAS, schema_name, webhooks_section

Spec = dict[str, Any]  # a part of an OpenAPI document

_DESCRIPTION = """\
v5 stands under two bases, `/api/v5` and `/dc/api/v5`, with and without a trailing slash.
A field with no value is left out, never null. Lists are paged by `limit` and `offset`.
"""


class Refusal(BaseModel):
    """What is wrong: with the request as a whole, and with fields of it by name."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    errors: list[str] = Field(default_factory=list)
    fieldErrors: dict[str, str] = Field(default_factory=dict)  # noqa: N815 - the wire's name


class Problem(BaseModel):
    """Nothing can be said about a field."""

    model_config = ConfigDict(extra="forbid")

    errors: list[str]


class AccessRefusal(BaseModel):
    """Why the token does not do (RFC 6750)."""

    model_config = ConfigDict(extra="forbid")

    error: str
    error_description: str


_WWW = {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}}
_RETRY = {"Retry-After": {"required": True, "schema": {"type": "string"}}}
_SIGNED = {
    name: {"required": True, "description": told, "schema": {"type": "string"}}
    for name, told in (
        ("webhook-id", "Of this answer; another one each time."),
        ("webhook-timestamp", "Seconds since 1970."),
        ("webhook-signature", "As of a delivery (Standard Webhooks), over this answer's body."),
    )
}
_LOCATION = {
    "Location": {
        "required": True,
        "description": "The address of what was made; its id comes last.",
        "schema": {"type": "string"},
    }
}

_REFUSALS: Mapping[int, Spec] = {
    400: {"model": Refusal, "description": "The input breaks a rule."},
    401: {"model": AccessRefusal, "description": "No valid token.", "headers": _WWW},
    403: {"model": AccessRefusal, "description": "The role may not do this.", "headers": _WWW},
    404: {"model": Problem, "description": "No resource exists with the given id."},
    409: {"model": Problem, "description": "The resource's state does not allow it."},
    413: {"model": Problem, "description": "The body is too large."},
    415: {"model": Problem, "description": "The body is of another type."},
    503: {"model": Problem, "description": "Try again in a moment.", "headers": _RETRY},
}
_ALWAYS = (400, 401, 403, 503)

BODY = (413, 415)  # what an operation with a body may answer besides
UNKNOWN = (404,)
CONFLICT = (409,)


def shows(model: object, *refusals: int, status: int = 200) -> Spec:
    """Keyword arguments of a route that answers with a document."""
    return {
        "status_code": status,
        "responses": {status: {"model": model, "description": "Found."}, **_refused(refusals)},
    }


def shows_events(events: Iterable[EventName], *refusals: int) -> Spec:
    """Keyword arguments of a route that answers with an array of events of these kinds."""
    kinds = [{"$ref": f"#/components/schemas/{schema_name(event)}"} for event in events]
    array = {"type": "array", "items": {"anyOf": kinds}}
    found = {"description": "Found.", "content": {"application/json": {"schema": array}}}
    return {"status_code": 200, "responses": {200: found, **_refused(refusals)}}


def shows_signed(model: object, *refusals: int) -> Spec:
    """Keyword arguments of a route whose answer is signed like a delivery."""
    shown = shows(model, *refusals)
    shown["responses"][200]["headers"] = _SIGNED
    return shown


def shows_also(media_type: str, model: type[BaseModel], *refusals: int) -> Spec:
    """Keyword arguments of a route that answers with a document, or with text of another type."""
    told = shows(model, *refusals)
    told["responses"][200]["content"] = {media_type: {"schema": {"type": "string"}}}
    return told


def creates(*refusals: int) -> Spec:
    """Keyword arguments of a route that makes something and answers with its address."""
    made = {201: {"description": "Made.", "headers": _LOCATION}}
    return {
        "status_code": 201,
        "response_class": Response,
        "responses": {**made, **_refused(refusals)},
    }


def creates_shown(model: type[BaseModel], *refusals: int) -> Spec:
    """Keyword arguments of a route that makes something, shows it, and tells its address."""
    made = {201: {"model": model, "description": "Made.", "headers": _LOCATION}}
    return {"status_code": 201, "responses": {**made, **_refused(refusals)}}


def accepts_table(model: type[BaseModel], *refusals: int) -> Spec:
    """Keyword arguments of a route that takes a CSV file and works on it afterwards."""
    begun = {202: {"model": model, "description": "Begun.", "headers": _LOCATION}}
    table = {"text/csv": {"schema": {"type": "string"}}}
    return {
        "status_code": 202,
        "responses": {**begun, **_refused(refusals)},
        "openapi_extra": {"requestBody": {"required": True, "content": table}},
    }


def accomplishes(*refusals: int) -> Spec:
    """Keyword arguments of a route that has nothing to answer with."""
    return {
        "status_code": 204,
        "response_class": Response,
        "response_description": "Done.",
        "responses": _refused(refusals),
    }


def _refused(refusals: tuple[int, ...]) -> dict[int, Spec]:
    return {status: _REFUSALS[status] for status in sorted({*_ALWAYS, *refusals})}


def install(app: FastAPI) -> None:
    """Make `/openapi.json` tell what FastAPI cannot know."""
    app.description = _DESCRIPTION
    describe: Callable[[], Spec] = app.openapi

    def completed() -> Spec:
        if app.openapi_schema is None:
            app.openapi_schema = complete(describe())
        return app.openapi_schema

    app.openapi = completed  # type: ignore[method-assign]


def complete(spec: Spec) -> Spec:
    """Add security and events; take away answers that are never given."""
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            if path.startswith(ZAPIER):
                operation["security"] = [{"key": []}]
    components = spec.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError", Unset.__name__):
        schemas.pop(unused, None)
    for schema in schemas.values():
        _drop_titles(schema)
    schemas.update(SCHEMAS)
    components["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token belongs to one user and has that user's permissions.",
        },
        "key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-KEY",
            "description": "The same token, for Zapier.",
        },
    }
    spec["security"] = [{"token": []}]
    spec["webhooks"] = webhooks_section()
    return spec


def _drop_titles(schema: Spec) -> None:
    """Names made of other names, such as `Begindate`, tell nobody anything."""
    schema.pop("title", None)
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
