"""Request bodies: read no further than the limit, and taken for JSON only when they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from email.message import Message
from typing import TypeAlias

from fastapi._compat import ModelField
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from coursebell.errors import InvalidInputError
from coursebell.web.errors import TooLargeError, UnsupportedMediaTypeError, refusal_of
from coursebell.web.rules import shortened

Json: TypeAlias = "str | int | Decimal | bool | list[Json] | dict[str, Json] | None"

MAX_BYTES = 1024 * 1024
_LONG = 64 * 1024  # from here on, work on a body would hold up other requests

_find_surrogate_escape = re.compile(r"\\u[dD][89a-fA-F]").search


class JsonRequest(Request):
    """A request whose body is a JSON object, its numbers exact, no larger than `limit` bytes."""

    body_object: Json | BaseModel = None  # None: it has no body

    async def read(self, limit: int, field: ModelField) -> None:
        """Take in the body, if there is one; a long one is parsed and validated on a thread.

        Then the model of `field` stands for its JSON. Raises TooLargeError,
        UnsupportedMediaTypeError and InvalidInputError.
        """
        raw = await self._read_bytes(limit)
        if not raw:
            return
        require_json(self.headers.get("content-type"), self.headers.get("content-encoding"))
        if len(raw) < _LONG:
            self.body_object = self.scope["coursebell.body"] = parse_object(raw)
            return
        found = await run_in_threadpool(parse_object, raw)
        self.scope["coursebell.body"] = found
        self.body_object, problems = await run_in_threadpool(field.validate, found, loc=("body",))
        if problems:
            raise refusal_of(problems)

    async def _read_bytes(self, limit: int) -> bytes:
        # A length that is announced is refused before a byte of it is read.
        announced = self.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise _too_large(limit)
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
        return b"".join(chunks)


def require_json(content_type: str | None, content_encoding: str | None) -> None:
    """Raise UnsupportedMediaTypeError unless the headers announce plain JSON in UTF-8."""
    if content_type == "application/json" and content_encoding is None:
        return
    message = Message()
    message["content-type"] = content_type or "application/octet-stream"
    subtype = message.get_content_subtype()
    charset = str(message.get_param("charset", "utf-8")).lower()
    if (
        message.get_content_maintype() != "application"
        or not (subtype == "json" or subtype.endswith("+json"))
        or charset not in ("utf-8", "utf8")
        or (content_encoding or "identity").lower() != "identity"
    ):
        raise UnsupportedMediaTypeError


def parse_object(raw: bytes) -> dict[str, Json]:
    """Read a JSON object; fractions become Decimal, so that what was written is what is read.

    Stricter than `json.loads` where that would guess: UTF-8 only (a byte order mark is skipped),
    no NaN or Infinity, no name twice in one object, no half of a surrogate pair.
    Raises InvalidInputError.
    """
    try:
        text = raw.decode("utf-8-sig")
        value = _decoder.decode(text)
        if _find_surrogate_escape(text):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeError as exc:
        raise _malformed("it is not UTF-8 text") from exc
    except json.JSONDecodeError as exc:
        raise _malformed(f"line {exc.lineno}, column {exc.colno}") from exc
    except RecursionError as exc:
        raise _malformed("it is nested too deeply") from exc
    except ValueError as exc:  # an integer of thousands of digits
        raise _malformed("a number is too long") from exc
    if not isinstance(value, dict):
        raise InvalidInputError(["The request body must be a JSON object."])
    return value


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as exc:
        raise ValueError(text) from exc


def _refuse_constant(name: str) -> None:
    raise _malformed(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _malformed(f'"{shortened(_first_repeated(pairs))}" stands in one object twice')
    return found


_decoder = json.JSONDecoder(
    parse_float=_decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
)


def _first_repeated(pairs: list[tuple[str, Json]]) -> str:
    counts = Counter(name for name, _ in pairs)
    return next(name for name, count in counts.items() if count > 1)


def _malformed(detail: str) -> InvalidInputError:
    return InvalidInputError([f"The request body is not valid JSON: {detail}."])


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"The request body is larger than {limit // (1024 * 1024)} MB.")
