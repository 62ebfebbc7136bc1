"""How the children that are servers serve: uvicorn with the product's options, on any port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from bench.children.talk import hear, say


def serve(app: FastAPI, told: Callable[[], Any]) -> None:
    """Serve until SIGTERM; says its port when it is ready, and what is `told` when asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, proxy_headers=False
        )
        server = _Announced(config, listener.getsockname()[1])
        threading.Thread(target=_answer, args=(told,), daemon=True).start()
        server.run(sockets=[listener])


def _answer(told: Callable[[], Any]) -> None:
    while hear() is not None:
        say(told())


class _Announced(uvicorn.Server):
    """Says its port once it answers."""

    def __init__(self, config: uvicorn.Config, port: int) -> None:
        super().__init__(config)
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        say(self._port)
