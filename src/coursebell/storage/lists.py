"""What every list has in common: its page, and filters by range and text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, and_, true

from coursebell.domain.instants import InstantRange
from coursebell.domain.lists import Page, Slice
from coursebell.storage.columns import belongs_to, contains_text
from coursebell.storage.database import Transaction

T = TypeVar("T")


def slice_of(
    tx: Transaction, query: Select[Any], page: Page, read: Callable[[Row[Any]], T]
) -> Slice[T]:
    """The page of `query`, whose order is already given."""
    rows = tx.execute(query.limit(page.limit + 1).offset(page.offset)).all()
    return Slice([read(row) for row in rows[: page.limit]], more=len(rows) > page.limit)


def in_range(column: ColumnElement[Any], wanted: InstantRange | None) -> ColumnElement[bool]:
    if wanted is None:
        return true()
    begins = true() if wanted.start is None else column >= wanted.start
    ends = true() if wanted.end is None else column < wanted.end
    return and_(column.is_not(None), begins, ends)


def has_text(column: ColumnElement[Any], wanted: str | None) -> ColumnElement[bool]:
    return contains_text(column, wanted) if wanted else true()


def is_listed(
    column: ColumnElement[str], organization_id: str, *, by: Iterable[str | None]
) -> ColumnElement[bool]:
    """Whether a row is the organization's; one of `by` that is given finds it sooner."""
    return belongs_to(column, organization_id) if any(by) else column == organization_id


def equals(column: ColumnElement[Any], wanted: str | None) -> ColumnElement[bool]:
    return column == wanted if wanted else true()
