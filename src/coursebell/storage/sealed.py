"""Everything that is stored sealed, whichever webhook and organization it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update

from coursebell.storage.database import Transaction
from coursebell.storage.tables import webhooks

# By their names, so that a column that is added is never forgotten.
_SEALED = tuple(column for column in webhooks.columns if column.name.endswith("_sealed"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What one webhook has stored sealed."""

    key: int
    webhook_id: str
    values: Mapping[str, bytes]  # by column


def list_sealed(
    tx: Transaction, *, after: int, limit: int, for_update: bool = False
) -> Sequence[Sealed]:
    """Of webhooks that are not deleted, in the order of their keys, from `after` on."""
    query = (
        select(webhooks.c.key, webhooks.c.id, *_SEALED)
        .where(webhooks.c.deleted_at.is_(None), webhooks.c.key > after)
        .order_by(webhooks.c.key)
        .limit(limit)
    )
    rows = tx.execute(query.with_for_update(key_share=True) if for_update else query).mappings()
    return [
        Sealed(
            key=row["key"],
            webhook_id=row["id"],
            values={
                column.name: row[column.name] for column in _SEALED if row[column.name] is not None
            },
        )
        for row in rows
    ]


def replace_sealed(tx: Transaction, webhook_key: int, values: Mapping[str, bytes]) -> None:
    """Write these columns of one webhook; the others stay."""
    tx.execute(update(webhooks).where(webhooks.c.key == webhook_key).values(dict(values)))
