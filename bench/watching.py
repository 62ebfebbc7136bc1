"""A database that remembers when its transactions ended and how long they were open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.databases import SECRET_KEY
from coursebell.storage.database import Database, Transaction


class WatchedDatabase(Database):
    """Watches writing transactions: on SQLite, who has one open holds the write lock."""

    def __init__(self, url: str) -> None:
        super().__init__(url, secret_keys=[SECRET_KEY])
        self.held: list[float] = []  # seconds
        self.committed_at = 0.0  # monotonic; of the last

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with super().transaction() as tx:
            start = time.monotonic()
            yield tx
        self.committed_at = time.monotonic()
        self.held.append(self.committed_at - start)
