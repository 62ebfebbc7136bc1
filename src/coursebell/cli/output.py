"""What commands say: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coursebell.domain.instants import format_instant
from coursebell.domain.lists import Page, Slice

T = TypeVar("T")
Row = Mapping[str, object]

PAGE = 100

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")]


def say(text: str) -> None:
    """To people, on stderr."""
    sys.stderr.write(text + "\n")


def answer(text: str) -> None:
    """To whoever asked, person or script, on stdout."""
    sys.stdout.write(text + "\n")


def every(fetch: Callable[[Page], Slice[T]]) -> Iterator[T]:
    """All items of a list, page by page."""
    offset = 0
    while True:
        page = fetch(Page(limit=PAGE, offset=offset))
        yield from page.items
        offset += PAGE
        if not page.more:
            return


def show_list(rows: Sequence[Row], *, as_json: bool, columns: Sequence[str]) -> None:
    """All fields of `rows` as a JSON array, or `columns` of them as a table."""
    if as_json:
        answer(as_json_array(rows))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "event"))
    for row in rows:
        # As it is: an IPv6 address or a name in square brackets is no markup.
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console(width=None if sys.stdout.isatty() else 10_000).print(table)


def as_json_array(rows: Sequence[Row]) -> str:
    """All fields of `rows`, for programs."""
    return json.dumps(rows, default=plain, ensure_ascii=False, indent=2)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(plain(value))


def plain(value: object) -> object:
    """What JSON has no form for, as text."""
    return format_instant(value) if isinstance(value, datetime) else str(value)
