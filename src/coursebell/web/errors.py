"""What an error looks like on the wire: one table from errors to answers, and one shape.

Every answer of 400 and above is JSON: `{"errors": [...]}` and/or `{"fieldErrors": {...}}`, and
for 401 and 403 `{"error": ..., "error_description": ...}` (wire contract, section 3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TypedDict

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coursebell.errors import (
    ConfigurationError,
    ConflictError,
    CoursebellError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    SealError,
    UnauthenticatedError,
    UnavailableError,
)
from coursebell.logs import logger
from coursebell.web.rules import Problem, field_errors_of

_log = logger("web")

RETRY_AFTER_SECONDS = 1
_MAX_FIELD_ERRORS = 100


class NoSuchAddressError(CoursebellError):
    """Nothing is served at this address."""


class TooLargeError(CoursebellError):
    """The request body is too large."""


class OverloadedError(CoursebellError):
    """The server has as many requests as it can take; try again in a moment."""


class UnsupportedMediaTypeError(CoursebellError):
    """The request body must be sent as application/json, in UTF-8."""


class Answer(TypedDict, total=False):
    """The body of an error response."""

    errors: list[str]
    fieldErrors: dict[str, str]
    error: str
    error_description: str


# The first class that fits decides, so a class stands before the one it derives from.
STATUSES: tuple[tuple[type[CoursebellError], HTTPStatus], ...] = (
    (InvalidInputError, HTTPStatus.BAD_REQUEST),
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (NoSuchAddressError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedMediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (OverloadedError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SealError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ConfigurationError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CoursebellError, HTTPStatus.BAD_REQUEST),
)

_HEADERS: Mapping[HTTPStatus, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"www-authenticate": 'Bearer realm="coursebell"'},
    HTTPStatus.FORBIDDEN: {
        "www-authenticate": 'Bearer realm="coursebell", error="insufficient_scope"'
    },
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: {"connection": "close"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": str(RETRY_AFTER_SECONDS)},
}

# Words for what the framework refuses by itself; the rest gets the standard's phrase.
_PHRASES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: NoSuchAddressError().message,
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not answer to that method.",
}


def install(app: FastAPI) -> None:
    """Make `app` answer every error in the contract's shape."""
    app.exception_handler(CoursebellError)(_answer_domain_error)
    app.exception_handler(RequestValidationError)(_answer_validation_error)
    app.exception_handler(HTTPException)(_answer_http_exception)


def status_of(error: CoursebellError) -> HTTPStatus:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def answer_to(error: CoursebellError) -> Answer:
    """The body for `error`; a fault of the installation is not told to strangers."""
    match error:
        case InvalidInputError():
            return _invalid(error.errors, error.field_errors)
        case UnauthenticatedError():
            return Answer(error="invalid_token", error_description=error.message)
        case ForbiddenError():
            return Answer(error="insufficient_scope", error_description=error.message)
        case ConfigurationError() | SealError():
            return Answer(errors=["The server is not set up correctly; its log says why."])
        case UnavailableError():
            return Answer(errors=[UnavailableError().message])
        case _:
            return Answer(errors=[error.message])


def error_response(
    status: int, answer: Answer, headers: Mapping[str, str] | None = None
) -> Response:
    content = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return Response(
        # A lone surrogate, which only a caller's own text can bring, becomes its JSON escape.
        content.encode("utf-8", "backslashreplace"),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def response_to(error: CoursebellError) -> Response:
    status = status_of(error)
    return error_response(status, answer_to(error), _HEADERS.get(status))


async def answered(request: Request, error: Exception) -> Response:
    """The answer to `error`, as `install` arranges it. Raises what nobody foresaw."""
    match error:
        case CoursebellError():
            return await _answer_domain_error(request, error)
        case HTTPException():
            return await _answer_http_exception(request, error)
        case _:
            raise error


async def _answer_domain_error(request: Request, error: CoursebellError) -> Response:
    if isinstance(error, ConfigurationError | SealError | UnavailableError):
        _log.error("request.failed", path=request.url.path, error=str(error))
    return response_to(error)


async def _answer_validation_error(_request: Request, error: RequestValidationError) -> Response:
    return response_to(refusal_of(error.errors()))


async def _answer_http_exception(request: Request, error: HTTPException) -> Response:
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"allow": ", ".join(methods_at(request.app, request.scope["path"]))}
    phrase = _PHRASES.get(error.status_code) or f"{error.detail}."
    return error_response(error.status_code, Answer(errors=[phrase]), headers)


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods that some route answers to at `path`."""
    contexts = [found for found in iter_route_contexts(app.routes) if found.methods]
    return sorted(
        method
        for found in contexts
        if found.path_regex.match(path)
        for method in found.methods or ()
    )


def refusal_of(problems: Sequence[Problem]) -> InvalidInputError | NotFoundError:
    """What to raise for the problems a pydantic model found.

    An id of the wrong shape in the path is an unknown id.
    """
    if any(problem["loc"][:1] == ("path",) for problem in problems):
        return NotFoundError()
    errors, field_errors = field_errors_of(problems)
    return InvalidInputError(errors, field_errors)


def _invalid(errors: Sequence[str], field_errors: Mapping[str, str]) -> Answer:
    answer = Answer()
    hidden = len(field_errors) - _MAX_FIELD_ERRORS
    if hidden > 0:
        errors = [*errors, f"{hidden} more fields are wrong."]
    if errors or not field_errors:
        answer["errors"] = list(errors) or [InvalidInputError().message]
    if field_errors:
        answer["fieldErrors"] = dict(list(field_errors.items())[:_MAX_FIELD_ERRORS])
    return answer


class LastResort:
    """Answers what nobody else did: an unexpected exception is logged and becomes a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            if scope["type"] != "http" or started:
                raise  # the server breaks the connection off, so nobody takes a part for all
            if isinstance(error, CoursebellError):
                await response_to(error)(scope, receive, send)
                return
            _log.exception("request.failed", method=scope["method"], path=scope["path"])
            await _unexpected(error)(scope, receive, send)


def _unexpected(_error: Exception) -> Response:
    return error_response(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        Answer(errors=["Something went wrong on the server; its log says what."]),
    )
