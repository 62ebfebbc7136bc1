"""Logs on stderr: one wide line per unit of work, for people or for machines, never a secret.

Take a logger with `logger("delivery")` and log events named `thing.happened` with everything known
about them as fields. What uvicorn, SQLAlchemy and Alembic say through `logging` comes out the same
way.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
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
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = msg


def mask_fields(_log: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask the values of fields that hold a secret by their name."""
    for name in event.keys() & _PRIVATE_FIELDS:
        event[name] = MASK
    return event


def mask_text(_log: WrappedLogger, _method: str, line: str) -> str:
    """Mask what looks like a secret in a finished line."""
    for beginning, secret in _PRIVATE_TEXT:
        if beginning in line:
            line = secret.sub(rf"\g<1>{MASK}", line)
    return line


_encode = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode


def _to_json(event: Mapping[str, object], **_options: object) -> str:
    return _encode(event)


_PREPARE: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    mask_fields,
)


def _renderers(*, machine: bool) -> tuple[Processor, ...]:
    if machine:
        return (
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
            cast("Processor", mask_text),
        )
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
