"""Logs on stderr: one wide line per unit of work, for people or for machines, never a secret.

Take a logger with `logger("delivery")` and log events named `thing.happened` with everything known
about them as fields. What uvicorn, SQLAlchemy and Alembic say through `logging` comes out the same
way.
"""

from __future__ import annotations

import json
import logging
import re
import select
import sys
import threading
import time
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

MASK = "***"

# Whatever stands under these names is nobody's business, and neither is what looks like a webhook
# secret, an API token, a credential in a header, or a password in a URL, wherever it turns up.
_PRIVATE_FIELDS = frozenset(
    {"authorization", "cookie", "password", "secret", "secrets", "secret_key", "token", "x_api_key"}
)
# Each is looked for by its literal beginning first: most lines have none, and a search for four
# words is twenty times cheaper than one regular expression that may begin anywhere.
_PRIVATE_TEXT = (
    ("whsec_", re.compile(r"(whsec_)[A-Za-z0-9+/=_-]+")),
    ("cb_", re.compile(r"\b(cb_)[A-Za-z0-9_-]{20,}")),
    ("Bearer ", re.compile(r"(Bearer )[^\s\"',]+")),
    ("://", re.compile(r"(://)[^\s/@\"']*:[^\s/@\"']*(?=@)")),
)


def logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry `part: name`. Cheap to call at import time."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))


@contextmanager
def wide_event(
    log: FilteringBoundLogger, event: str, **fields: object
) -> Iterator[MutableMapping[str, object]]:
    """Log one line when the block ends, with its duration and what the block put into the mapping.

    An exception makes it an error line with the traceback, and goes on.
    """
    found: dict[str, object] = dict(fields)
    start = time.monotonic()
    try:
        yield found
    except Exception:
        log.exception(event, **found, duration_ms=_since(start))
        raise
    log.info(event, **found, duration_ms=_since(start))


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 3)


def configure(*, as_json: bool | None = None, level: str = "info") -> None:
    """Send all logs of this process to stderr; `as_json` None: JSON unless stderr is a terminal.

    Loggers are cached at their first line: call this once, before it.
    """
    machine = not sys.stderr.isatty() if as_json is None else as_json
    least = logging.getLevelNamesMapping()[level.upper()]
    renderers = _renderers(machine=machine)
    structlog.configure(
        processors=[*_PREPARE, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    _route_stdlib(least, renderers)


class _Stderr:
    """Writes each line in one go, to what stderr is at that moment."""

    def __init__(self, *_args: object) -> None: ...

    def msg(self, line: str) -> None:
        if _held.lines is None:
            _write(f"{line}\n")
        else:
            _held.lines.append(f"{line}\n")

    debug = info = warning = error = critical = msg


class _Held(threading.local):
    lines: list[str] | None = None  # of a thread that is inside `together`


_held = _Held()


@contextmanager
def together() -> Iterator[None]:
    """What this thread logs inside is written at the end, several lines at a time.

    A system call for each line costs as much as making it. No write is longer than what a pipe
    takes in one piece, so lines of processes that share stderr still do not mix.
    """
    lines: list[str] = []
    _held.lines = lines
    try:
        yield
    finally:
        _held.lines = None
        for piece in _pieces(lines):
            _write(piece)


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    piece, size = list[str](), 0
    for line in lines:
        length = len(line.encode("utf-8", "surrogatepass"))
        if piece and size + length > select.PIPE_BUF:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    if piece:
        yield "".join(piece)


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def complete(_log: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add time and level, and mask the values of fields that hold a secret by their name."""
    event["level"] = _LEVELS.get(method, method)
    event["time"] = f"{datetime.now(UTC).isoformat().removesuffix('+00:00')}Z"
    for name in event.keys() & _PRIVATE_FIELDS:
        event[name] = MASK
    return event


_LEVELS = {"exception": "error", "fatal": "critical", "warn": "warning"}  # as logging names them


def mask_text(_log: WrappedLogger, _method: str, line: str) -> str:
    """Mask what looks like a secret in a finished line."""
    for beginning, secret in _PRIVATE_TEXT:
        if beginning in line:
            line = secret.sub(rf"\g<1>{MASK}", line)
    return line


_encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode


def to_line(log: WrappedLogger, method: str, event: EventDict) -> str:
    """A line for machines; one function, because three processors cost as much as the line."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(log, method, event)
    return mask_text(log, method, _encode(event))


_PREPARE: tuple[Processor, ...] = (complete,)


def _renderers(*, machine: bool) -> tuple[Processor, ...]:
    if machine:
        return (cast("Processor", to_line),)
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        timestamp_key="time",
        exception_formatter=structlog.dev.plain_traceback,
    )
    return (console, cast("Processor", mask_text))


def _route_stdlib(least: int, renderers: tuple[Processor, ...]) -> None:
    handler = logging.StreamHandler(_CurrentStderr())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_PREPARE, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(least)
    for talkative in ("alembic", "httpx", "sqlalchemy", "uvicorn"):
        quiet = logging.getLogger(talkative)
        quiet.setLevel(max(least, logging.WARNING))
        quiet.handlers = []
        quiet.propagate = True


class _CurrentStderr:
    """A stream that is stderr whenever it is written to, so that redirecting it works."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()
