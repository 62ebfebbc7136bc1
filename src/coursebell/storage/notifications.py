"""The bell of PostgreSQL. Apart from `waking`, so that SQLite's processes do not load psycopg."""

from __future__ import annotations

import contextlib

import psycopg

from coursebell.errors import UnavailableError
from coursebell.storage.database import CHANNEL

_CONNECT_SECONDS = 5


class NotifyBell:
    """A connection that listens. A broken one is opened again by `silence`.

    It holds an advisory lock named by the run id, which ends with the process however that ends.
    """

    patience = 5.0

    def __init__(self, url: str, run_id: str) -> None:
        self.run_id = run_id
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._connection = self._listen()

    def descriptors(self) -> tuple[int, ...]:
        return () if self._connection.closed else (self._connection.fileno(),)

    def silence(self) -> None:
        try:
            if self._connection.closed:
                self._connection = self._listen()
            for _ in self._connection.notifies(timeout=0):
                pass
        except psycopg.Error as exc:
            self._connection.close()
            raise UnavailableError from exc

    def missed_rings(self) -> bool:
        """Cannot be told from here, so: perhaps."""
        return True

    def close(self) -> None:
        self._connection.close()

    def _listen(self) -> psycopg.Connection[tuple[object, ...]]:
        with contextlib.ExitStack() as undo:
            try:
                connection = psycopg.connect(
                    self._url, autocommit=True, connect_timeout=_CONNECT_SECONDS
                )
                undo.callback(connection.close)
                # shared, so that the rest of a broken connection does not stand in the way
                lock = int.from_bytes(bytes.fromhex(self.run_id), signed=True)
                connection.execute("SELECT pg_advisory_lock_shared(%s)", [lock])
                connection.execute(f"LISTEN {CHANNEL}")
            except psycopg.Error as exc:
                raise UnavailableError from exc
            undo.pop_all()
        return connection
