"""An installation, a server and a receiver for tests of the whole product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.installations import Client, Installation, Server
from acceptance.receivers import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Accepts everything until it is told otherwise."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def installation(
    receiver: Receiver, database_url: str, secret_key: str, tmp_path: Path
) -> Iterator[Installation]:
    """Nothing runs yet; the test runs once for each engine. It ends before `receiver` does."""
    installation = Installation(database_url, secret_key, tmp_path)
    yield installation
    installation.close()


@pytest.fixture
def server(installation: Installation) -> Server:
    """A running server of `installation`."""
    return installation.serve()


@pytest.fixture
def admin(server: Server) -> Iterator[Client]:
    """The first administrator's token at `server`."""
    with server.client() as client:
        yield client
