"""What other systems call the things that were imported, so that importing again finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import String, and_, bindparam, delete, select, update

from coursebell.storage.columns import belongs_to
from coursebell.storage.database import Transaction
from coursebell.storage.prepared import Batch, Prepared, among, insertion
from coursebell.storage.tables import external_keys

GIVEN, DERIVED = "k:", "n:"  # how keys begin that a table has, or that are made of what it says


@dataclass(frozen=True, slots=True)
class Known:
    """What a key stands for, and the digest of the line that was imported last."""

    subject_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A key with what it stands for from now on."""

    external_key: str
    subject_id: str
    digest: str


def find_known(
    tx: Transaction, organization_id: str, subject: str, keys: Iterable[str]
) -> Mapping[str, Known]:
    """Those among `keys` that are known, by key."""
    rows = _FIND.rows(tx, organization_id=organization_id, subject=subject, keys=keys)
    return {row.external_key: Known(row.subject_id, row.digest) for row in rows}


_FIND = Prepared(
    select(external_keys.c.external_key, external_keys.c.subject_id, external_keys.c.digest).where(
        external_keys.c.organization_id == bindparam("organization_id"),
        external_keys.c.subject == bindparam("subject"),
        among(external_keys.c.external_key, "keys"),
    )
)


def linked_subjects(tx: Transaction, organization_id: str, subject_ids: Iterable[str]) -> set[str]:
    """Those among `subject_ids` that another system has a name for."""
    rows = _LINKED.rows(tx, organization_id=organization_id, subject_ids=subject_ids)
    return {row.subject_id for row in rows if row.external_key.startswith(GIVEN)}


_LINKED = Prepared(
    select(external_keys.c.subject_id, external_keys.c.external_key).where(
        belongs_to(external_keys.c.organization_id, bindparam("organization_id")),
        among(external_keys.c.subject_id, "subject_ids"),
    )
)


def insert_links(
    tx: Transaction, organization_id: str, subject: str, links: Sequence[Linked]
) -> None:
    """Raises `RaceError` when one of the keys was taken meanwhile."""
    rows = [(each.external_key, each.subject_id, each.digest) for each in links]
    _INSERT.run(tx, rows, organization_id=organization_id, subject=subject)


_INSERT = insertion(
    external_keys,
    "external_key",
    "subject_id",
    "digest",
    organization_id=bindparam("organization_id", type_=String()),
    subject=bindparam("subject", type_=String()),
)


def update_links(
    tx: Transaction, organization_id: str, subject: str, links: Sequence[Linked]
) -> None:
    rows = [(each.external_key, each.subject_id, each.digest) for each in links]
    _UPDATE.run(tx, rows, organization_id=organization_id, subject=subject)


_UPDATE = Batch(
    {
        "row_key": external_keys.c.external_key,
        "new_subject": external_keys.c.subject_id,
        "new_digest": external_keys.c.digest,
    },
    lambda given: (
        update(external_keys)
        .where(
            and_(
                external_keys.c.organization_id == bindparam("organization_id", type_=String()),
                external_keys.c.subject == bindparam("subject", type_=String()),
                external_keys.c.external_key == given["row_key"],
            )
        )
        .values(digest=given["new_digest"])
    ),
)


def forget_keys(tx: Transaction, organization_id: str, subject_ids: Iterable[str]) -> None:
    """Nothing says any more what others call these."""
    _FORGET.run(tx, organization_id=organization_id, subject_ids=subject_ids)


_FORGET = Prepared(
    delete(external_keys).where(
        belongs_to(external_keys.c.organization_id, bindparam("organization_id")),
        among(external_keys.c.subject_id, "subject_ids"),
    )
)
