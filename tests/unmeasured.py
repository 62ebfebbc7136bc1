"""The environment of commands whose coverage is not measured: it makes them slow, and some copy
the code that they run to where no report finds it."""

from __future__ import annotations

import os


def environment(**more: str) -> dict[str, str]:
    """This one and `more`."""
    return {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")} | more
