"""Moments as people write them at a terminal: a date, a timestamp, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import typer

from coursebell.domain.instants import InvalidInstantError, parse_instant

HELP = "a date of the organization's zone, a timestamp, or how long ago: 2031-02-03, 7d, 24h, 30min"

_UNITS = {"d": "days", "h": "hours", "min": "minutes"}
_match_ago = re.compile(r"([0-9]{1,5})(d|h|min)", re.ASCII).fullmatch


def read_moment(
    text: str, option: str, now: datetime, zone: ZoneInfo, *, end: bool = False
) -> datetime:
    """The moment that `option` was given; with `end`, a date means the end of its day.

    Raises `typer.BadParameter`.
    """
    if ago := _match_ago(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return parse_instant(text, zone, end=end)
    except InvalidInstantError as exc:
        told = f"{exc.message}, or how long ago (7d, 24h, 30min)."
        raise typer.BadParameter(told, param_hint=option) from exc
