"""Answers that succeed, each made in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from coursebell.domain.lists import Page, Slice
from coursebell.web import paging
from coursebell.web.documents import Document, ListDocument

T = TypeVar("T")
JSON = "application/json"


def shown(document: Document, status: int = 200) -> Response:
    return Response(document.to_json(), status_code=status, media_type=JSON)


def shown_bare(documents: Iterable[Document]) -> Response:
    """An array and nothing around it, as Zapier wants its lists."""
    content = b",".join(document.to_json() for document in documents)
    return Response(b"[" + content + b"]", media_type=JSON)


def listed(
    request: Request, page: Page, found: Slice[T], document_of: Callable[[T], Document]
) -> Response:
    """One page of a list, with links to the pages beside it."""
    results = [document_of(item) for item in found.items]
    links = paging.links(request, page, more=found.more)
    return shown(ListDocument[Document](results=results, **links))


def created(request: Request, collection: str, new_id: str) -> Response:
    """201 with the address of what was made and an empty body."""
    return Response(status_code=201, headers={"location": _location(request, collection, new_id)})


def made(location: str, document: Document) -> Response:
    """201 that shows what was made, whose address is `location`."""
    return Response(
        document.to_json(), status_code=201, headers={"location": location}, media_type=JSON
    )


def begun(request: Request, collection: str, new_id: str, document: Document) -> Response:
    """202 that shows what is being worked on, and its address."""
    headers = {"location": _location(request, collection, new_id)}
    return Response(document.to_json(), status_code=202, headers=headers, media_type=JSON)


def created_with_secret(
    request: Request, collection: str, new_id: str, document: Document
) -> Response:
    """201 that shows, this once, a secret; no cache may keep it."""
    headers = {"location": _location(request, collection, new_id), "cache-control": "no-store"}
    return Response(document.to_json(), status_code=201, headers=headers, media_type=JSON)


def done() -> Response:
    return _DONE


_DONE = Response(status_code=204)  # it says the same to everyone


def _location(request: Request, collection: str, new_id: str) -> str:
    return paging.address_of(request.scope, f"/{collection}/{new_id}")
