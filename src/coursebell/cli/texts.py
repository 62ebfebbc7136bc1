"""Text that is given on the command line, held to the rules of the API."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import typer

from coursebell.domain.cells import CellError, text


def line(max_length: int) -> Callable[[str | None], str | None]:
    """The callback of an option that takes a line of text, if it is given one."""
    read = text(max_length)

    def check(given: str | None) -> str | None:
        if given is None:
            return None
        kept = given.strip()
        if not kept:
            raise typer.BadParameter("Must not be empty.")
        try:
            return str(read(kept, ZoneInfo("UTC")))
        except CellError as exc:
            raise typer.BadParameter(f"{exc}.") from exc

    return check
