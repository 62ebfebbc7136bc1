"""How a child hears and says JSON documents, a line each."""

from __future__ import annotations

import json
import sys
from typing import Any


def hear() -> Any:
    """The next document, None when there will be no more."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def say(document: Any = None) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
