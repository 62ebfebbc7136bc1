"""The Zapier integration of docs/examples/zapier, run by Zapier's own tester."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acceptance.installations import Server

_RUNNER = Path(__file__).parents[1] / "node" / "zap.js"


class ZapierError(Exception):
    """What Zapier shows to whoever made the Zap."""


class Zapier:
    """Zapier connected to a server with a token: `run` does one operation of the integration."""

    def __init__(self, packages: Path, server: Server, token: str) -> None:
        self._account = {"url": f"http://{server.host}", "apiKey": token}
        self._node = subprocess.Popen(
            ["node", str(_RUNNER)],
            env={**os.environ, "NODE_PATH": str(packages)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Zapier:
        return self

    def __exit__(self, *_: object) -> None:
        self._node.communicate(timeout=30)

    def run(
        self, operation: str, *, account: Mapping[str, str] | None = None, **bundle: Any
    ) -> Any:
        """What `operation` gives, a path such as `triggers.user_created.operation.perform`."""
        bundle = {"authData": {**self._account, **(account or {})}, **bundle}
        assert self._node.stdin
        assert self._node.stdout
        self._node.stdin.write(f"{json.dumps({'operation': operation, 'bundle': bundle})}\n")
        self._node.stdin.flush()
        said = json.loads(self._node.stdout.readline())
        if "error" in said:
            raise ZapierError(said["error"])
        return said["result"]

    def trigger(self, event: str, what: str, **bundle: Any) -> Any:
        return self.run(f"triggers.{event}.operation.{what}", **bundle)

    def create(self, action: str, **fields: str) -> Any:
        return self.run(f"creates.{action}.operation.perform", inputData=fields)
