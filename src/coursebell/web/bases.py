"""Where the APIs stand: v5 has its routes under `/api/v5` and is served under two bases."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from coursebell.web.errors import NoSuchAddressError

BASE = "/api/v5"
ALIAS = "/dc/api/v5"
ZAPIER = "/api/zapier"

_SERVED = {ALIAS: BASE, BASE: BASE, ZAPIER: ZAPIER}  # what is asked for, and where its routes are


class Bases:
    """Maps `/dc/api/v5/...` and a trailing slash onto the routes, and remembers what was asked.

    A path with an encoded slash names nothing and is refused, so that it is never taken for a
    path of more parts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _rebase(scope)
        await self._app(scope, receive, send)


def base_of(scope: Scope) -> str:
    """The base under which the request came: `/api/v5`, `/dc/api/v5` or `/api/zapier`."""
    return str(scope.get("coursebell.base", BASE))


def _rebase(scope: Scope) -> None:
    # In place, not in a copy: who measures the answer outside reads the route from this scope.
    path: str = scope["path"]
    for base, routes in _SERVED.items():
        if path.startswith(f"{base}/"):
            _refuse_encoded_slash(scope)
            scope["path"] = routes + path.removeprefix(base).removesuffix("/")
            scope["coursebell.base"] = base
            return


def _refuse_encoded_slash(scope: Scope) -> None:
    if b"%2f" in scope.get("raw_path", b"").lower():
        raise NoSuchAddressError
