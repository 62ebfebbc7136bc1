"""An organization as a file of JSON Lines: everything that is kept, to be taken elsewhere.

The first line says what it is, the last how many rows there are, so that a file that was cut off is
noticed. Ids and password hashes are in it; what opens doors is not: tokens, webhook secrets, the
values of custom headers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import Any, TypeVar

from coursebell.domain.instants import format_instant
from coursebell.domain.lists import MAX_LIMIT, Page, Slice
from coursebell.domain.model import Actor, Role, Token, Webhook
from coursebell.errors import ConflictError, InvalidInputError
from coursebell.services.organizations import operator_of
from coursebell.services.registrar import Registrar
from coursebell.storage import accounts, archives, people, webhooks
from coursebell.storage.archives import ArchiveError
from coursebell.storage.database import Transaction
from coursebell_receiver.signature import generate_secret

T = TypeVar("T")

FORMAT = "coursebell-archive-1"

_Line = tuple[int, str, dict[str, Any]]  # its number, the table, the row


def export(
    registrar: Registrar, actor: Actor, schema: str, now: datetime
) -> Generator[tuple[str, int]]:
    """The lines of the archive, each with the number of rows so far. One state of the database.

    Two exports of the same state differ in the first line only.
    """
    actor.require(Role.ADMIN)
    with registrar.database.frozen() as tx:
        organization = people.get_organization(tx, actor.organization_id)
        head = {
            "format": FORMAT,
            "schema": schema,
            "exportedDate": format_instant(now),
            "organization": organization.name,
        }
        yield _written(head), 0
        count = 0
        for name in archives.archived_tables():
            for row in archives.read_rows(tx, name, organization.id):
                count += 1
                yield _written({name: row}), count
        yield _written({"rows": count}), count


def _written(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What an archive does not hold, and has to be issued again elsewhere."""

    tokens: Sequence[Token]
    webhooks: Sequence[Webhook]  # whose secrets and values of headers they are


def list_left_out(registrar: Registrar, actor: Actor) -> LeftOut:
    """Oldest first."""
    actor.require(Role.ADMIN)
    organization_id = actor.organization_id
    with registrar.database.snapshot() as tx:
        return LeftOut(
            tokens=list(_every(lambda page: accounts.list_tokens(tx, organization_id, None, page))),
            webhooks=list(_every(lambda page: webhooks.list_webhooks(tx, organization_id, page))),
        )


def _every(fetch: Callable[[Page], Slice[T]]) -> Iterator[T]:
    offset = 0
    while True:
        page = fetch(Page(limit=MAX_LIMIT, offset=offset))
        yield from page.items
        offset += MAX_LIMIT
        if not page.more:
            return


def import_archive(registrar: Registrar, lines: Iterable[bytes], schema: str) -> Iterator[int]:
    """Write an archive into a database without any organization, all of it or nothing.

    Yields how many rows were written so far; what was written is kept once this has come to its
    end. Webhooks get new secrets, which nobody knows. Raises `ConflictError` where there is an
    organization, `InvalidInputError` where the archive is none, is cut off or contradicts itself.
    """
    source = iter(lines)
    _check_head(next(source, b""), schema)
    seal = registrar.database.seal
    count = 0
    with registrar.database.transaction() as tx:
        people.lock_organizations(tx)
        if people.list_organizations(tx):
            raise ConflictError("An archive needs an empty database; this has an organization.")
        for name, batch in _batches(_rows(source)):
            _write(tx, name, batch, lambda: seal.seal(generate_secret().encode()))
            count += len(batch)
            yield count


def _check_head(line: bytes, schema: str) -> None:
    head = _document(1, line)
    if head.get("format") != FORMAT:
        raise InvalidInputError(["The file is no archive of Coursebell: its first line says so."])
    if head.get("schema") != schema:
        made = f"The archive was made with schema {head.get('schema')}; this version has {schema}."
        raise InvalidInputError([f"{made} Use the same version in both places."])


def _rows(lines: Iterator[bytes]) -> Iterator[_Line]:
    """The rows up to the last line, which must be there and count them rightly."""
    known = set(archives.archived_tables())
    count, told = 0, None
    for number, line in enumerate(lines, start=2):
        if told is not None:
            raise InvalidInputError([f"Line {number} stands after the last line of the archive."])
        document = _document(number, line)
        name, row = next(iter(document.items()), ("", None))
        if name == "rows" and len(document) == 1:
            told = row
        elif name in known and isinstance(row, dict) and len(document) == 1:
            count += 1
            yield number, name, row
        else:
            raise InvalidInputError([f"Line {number} is no row of the archive: {name[:40]}."])
    if told != count:
        raise InvalidInputError(
            [f"The archive was cut off: {count} rows are there, and {told or 'its end'} is not."]
        )


def _document(number: int, line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as exc:
        raise InvalidInputError([f"Line {number} of the archive is not JSON."]) from exc
    if not isinstance(document, dict):
        raise InvalidInputError([f"Line {number} of the archive is no JSON object."])
    return document


def _batches(rows: Iterator[_Line]) -> Iterator[tuple[str, list[_Line]]]:
    """Rows of one table that follow each other, up to a batch of them."""
    for name, of_table in groupby(rows, key=lambda line: line[1]):
        while batch := list(islice(of_table, archives.BATCH)):
            yield name, batch


def _write(
    tx: Transaction, name: str, batch: Sequence[_Line], new_secret: Callable[[], bytes]
) -> None:
    first, last = batch[0][0], batch[-1][0]
    try:
        archives.write_rows(tx, name, [row for _, _, row in batch], new_secret)
    except ArchiveError as exc:
        raise InvalidInputError([f"Lines {first} to {last} of the archive: {exc}."]) from exc


def operator_of_archive(registrar: Registrar) -> Actor:
    """The person at the command line, in the organization that an archive has brought."""
    with registrar.database.snapshot() as tx:
        (organization,) = people.list_organizations(tx)
    return operator_of(organization)
