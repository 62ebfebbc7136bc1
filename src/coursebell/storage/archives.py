"""An organization as rows that any database can take: read out in order, and written again.

Which tables and columns there are is derived from the metadata, so that none is forgotten. A row is
named by its public id: the keys inside are another database's own, and their order alone is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, String, Table, insert, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.types import TypeEngine

from coursebell.storage.columns import Exact, Instant, Words
from coursebell.storage.database import Transaction
from coursebell.storage.tables import metadata

BATCH = 500  # rows written at once
LEFT_OUT = {
    "tokens",  # credentials of one installation; nobody could read them from their digests
    "imports",  # their files lie beside one installation
    "import_problems",
}
_MOMENTARY = {("deliveries", "lease")}  # of a dispatcher that runs elsewhere

Row = Mapping[str, object]


class ArchiveError(ValueError):
    """A row does not fit; the message says why."""


def archived_tables() -> list[str]:
    """Their names, in the order in which they can be written: what is referred to comes first."""
    return [table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT]


def archived_columns(table: Table) -> list[Column[Any]]:
    """Without keys, and without what is sealed by a key of the installation."""
    return [
        column
        for column in table.columns
        if column.name != "key"
        if not column.name.endswith("_sealed")
        if (table.name, column.name) not in _MOMENTARY
    ]


def read_rows(tx: Transaction, name: str, organization_id: str) -> Iterator[dict[str, object]]:
    """All rows of an organization in a table, as JSON values, in their order."""
    table = metadata.tables[name]
    query = select()
    source: Any = table
    for column in archived_columns(table):
        referred = _referred(column)
        if referred is None:
            query = query.add_columns(column)
        else:
            other = referred.alias(f"of_{column.name}")
            source = source.outerjoin(other, other.c.key == column)
            query = query.add_columns(other.c.id.label(column.name))
    owner = _owner(table)
    if owner.table is not table:
        source = source.join(owner.table, owner.table.c.key == _parent(table))
    query = query.select_from(source).where(owner == organization_id)
    query = query.order_by(*table.primary_key.columns).execution_options(yield_per=BATCH)
    for row in tx.execute(query).mappings():
        yield {str(each): _plain(value) for each, value in row.items() if value is not None}


def write_rows(
    tx: Transaction, name: str, rows: Sequence[Row], new_secret: Callable[[], bytes]
) -> None:
    """Write rows as `read_rows` gave them; where there must be a sealed secret, a new one.

    Raises `ArchiveError` for rows that do not fit, or contradict what is there.
    """
    table = metadata.tables[name]
    sealed = [each.name for each in table.c if each.name.endswith("_sealed") and not each.nullable]
    columns = archived_columns(table)
    known = {column.name for column in columns}
    for row in rows:
        if unknown := row.keys() - known:
            raise ArchiveError(f"{table.name} has no {', '.join(sorted(unknown))}")
    values = {column.name: _column(tx, column, rows) for column in columns}
    complete = [
        {each: column[place] for each, column in values.items()}
        | {each: new_secret() for each in sealed}
        for place in range(len(rows))
    ]
    try:
        tx.execute(insert(table), complete)
    except (IntegrityError, DataError) as exc:
        raise ArchiveError(f"{name} does not take them: {str(exc.orig).splitlines()[0]}") from exc


def _column(tx: Transaction, column: Column[Any], rows: Sequence[Row]) -> Sequence[object]:
    """The values of a column in all of the rows."""
    referred = _referred(column)
    if referred is None:
        return [_value(column, row.get(column.name)) for row in rows]
    ids = {str(row[column.name]) for row in rows if column.name in row}
    found = tx.execute(select(referred.c.id, referred.c.key).where(referred.c.id.in_(ids)))
    keys = {row.id: row.key for row in found}
    if missing := ids - keys.keys():
        raise ArchiveError(f"{column} names {min(missing)}, which is not in {referred.name}")
    return [keys.get(row.get(column.name)) for row in rows]


def _referred(column: Column[Any]) -> Table | None:
    """The table whose key the column holds, if it holds one."""
    for foreign in column.foreign_keys:
        if foreign.column.name == "key":
            return foreign.column.table
    return None


def _owner(table: Table) -> Column[Any]:
    """The column that says whose the rows are: their own, or that of the row they belong to."""
    if table.name == "organizations":
        return table.c.id
    if "organization_id" in table.c:
        return table.c.organization_id
    referred = _referred(_parent(table))
    assert referred is not None  # noqa: S101 - everything belongs to an organization
    return referred.c.organization_id


def _parent(table: Table) -> Column[Any]:
    return next(column for column in table.columns if _referred(column) is not None)


def _plain(value: Any) -> object:
    """A value as JSON has it, the same whichever database it comes from."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(raw).decode()}
    return list(value) if isinstance(value, tuple) else value


def _value(column: Column[Any], value: Any) -> object:
    """What `_plain` made it of."""
    if value is None:
        if not column.nullable:
            raise ArchiveError(f"{column} is missing")
        return None
    try:
        return _typed(column, value)
    except (TypeError, ValueError, KeyError, InvalidOperation) as exc:
        raise ArchiveError(f"{column} cannot be {str(value)[:40]!r}") from exc


def _typed(column: Column[Any], value: Any) -> object:
    for kind, read in _READ:
        if isinstance(column.type, kind):
            return read(value)
    raise TypeError(f"nothing is known of {column.type}")


def _exactly(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["base64"], validate=True)


# The first that fits decides, so a type stands before the one it derives from.
_READ: tuple[tuple[type[TypeEngine[Any]], Callable[[Any], object]], ...] = (
    (Instant, lambda value: datetime.fromisoformat(value).astimezone(UTC)),
    (Exact, lambda value: Decimal(_exactly(value, str))),
    (Words, lambda value: tuple(_exactly(each, str) for each in _exactly(value, list))),
    (LargeBinary, _bytes),
    (JSON, lambda value: value),
    (Boolean, lambda value: _exactly(value, bool)),
    (Integer, lambda value: _exactly(value, int)),
    (String, lambda value: _exactly(value, str)),
)
