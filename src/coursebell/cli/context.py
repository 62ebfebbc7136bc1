"""What every command gets from the options that stand before it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The global options as given; None where one was not."""

    database_url: str | None
    organization: str | None
