"""Pages of a list: the part that is shown, and links to the parts beside it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.types import Scope

from coursebell.domain.lists import Page
from coursebell.web.bases import BASE, base_of


def links(request: Request, page: Page, *, more: bool) -> dict[str, str]:
    """`next`, `prev` and `previous` of a page, as far as there are such pages.

    They are path-absolute, under the base that was asked, and carry the same query with another
    `offset`.
    """
    found = {}
    if more:
        found["next"] = link(request, "offset", str(page.offset + page.limit))
    if page.offset:
        before = link(request, "offset", str(max(0, page.offset - page.limit)))
        found |= {"prev": before, "previous": before}
    return found


def address_of(scope: Scope, path: str) -> str:
    """The path-absolute address of `path` (`/users/...`) under the base that was asked."""
    return base_of(scope) + path


def link(request: Request, parameter: str, value: str) -> str:
    """The address that was asked, with another value of one query parameter."""
    query = parse_qsl(request.url.query, keep_blank_values=True)
    kept = [(name, each) for name, each in query if name != parameter]
    path = address_of(request.scope, request.scope["path"].removeprefix(BASE))
    return f"{path}?{urlencode([*kept, (parameter, value)])}"
