"""Tables that clients upload: written to disk as they come, never held in memory."""

from __future__ import annotations

from email.message import Message
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from coursebell.errors import InvalidInputError
from coursebell.web.errors import TooLargeError, UnsupportedMediaTypeError

MAX_TABLE_BYTES = 512 * 1024 * 1024
_AT_ONCE = 1024 * 1024  # bytes that are written together


def require_table(request: Request) -> None:
    """Refuse what is no table, or too large, before a byte of it is read.

    Raises UnsupportedMediaTypeError, TooLargeError, InvalidInputError.
    """
    message = Message()
    message["content-type"] = request.headers.get("content-type", "application/octet-stream")
    charset = str(message.get_param("charset", "utf-8")).lower()
    encoding = request.headers.get("content-encoding", "identity").lower()
    is_table = message.get_content_type() == "text/csv" and charset in ("utf-8", "utf8")
    if not is_table or encoding != "identity":
        raise UnsupportedMediaTypeError("The table must be sent as text/csv, in UTF-8.")
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal():
        raise InvalidInputError(["The header Content-Length is required of a table."])
    if int(announced[:20]) > MAX_TABLE_BYTES:
        raise TooLargeError(f"The table is larger than {MAX_TABLE_BYTES // (1024 * 1024)} MB.")


async def receive_table(request: Request, stream: BinaryIO) -> None:
    """Write the body as it comes; the server lets through no more of it than was announced."""
    waiting: list[bytes] = []
    held = 0
    async for chunk in request.stream():
        held += len(chunk)
        waiting.append(chunk)
        if held >= _AT_ONCE:
            await run_in_threadpool(stream.write, b"".join(waiting))
            waiting, held = [], 0
    await run_in_threadpool(stream.write, b"".join(waiting))
