"""The fixtures keep their promises: empty databases, free ports, a verifier that verifies."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import standardwebhooks
from sqlalchemy import func, inspect, select

import needs
from coursebell.storage import migrations
from coursebell.storage.database import Database
from coursebell.storage.tables import metadata

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ORGANIZATIONS = metadata.tables["organizations"]


@pytest.fixture
def blank(blank_database_url: str) -> Iterator[Database]:
    database = Database(blank_database_url)
    yield database
    database.close()


@pytest.mark.parametrize("round_", [1, 2])
def test_every_test_gets_an_empty_migrated_database(database: Database, round_: int) -> None:
    migrations.check(database)
    with database.transaction() as tx:
        found = tx.execute(select(func.count()).select_from(ORGANIZATIONS)).scalar_one()
        tx.execute(ORGANIZATIONS.insert(), an_organization())

    assert found == 0, f"round {round_} found what another test left"


def an_organization() -> dict[str, object]:
    created = datetime(2031, 2, 3, tzinfo=UTC)
    words = dict.fromkeys(("id", "name", "zone", "locale", "sign_in"), "x")
    return {**words, "created_at": created}


def test_a_blank_database_has_no_table(blank: Database) -> None:
    with blank.snapshot() as tx:
        tables = inspect(tx.connection).get_table_names()

    assert tables == []


def test_a_free_port_can_be_bound(free_port: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port))


@pytest.fixture
def signed() -> tuple[dict[str, str], bytes]:
    """Headers and body of a delivery signed this second by the PyPI package."""
    now, body = datetime.now(UTC), '{"title": "Grüße"}'
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": standardwebhooks.Webhook(SECRET).sign("msg_1", now, body),
    }
    return headers, body.encode()


def test_node_gives_the_payload_of_a_delivery_that_verifies(
    node_standardwebhooks: Callable[..., object], signed: tuple[dict[str, str], bytes]
) -> None:
    assert node_standardwebhooks(SECRET, *signed) == {"title": "Grüße"}


def test_node_refuses_a_delivery_that_was_changed(
    node_standardwebhooks: Callable[..., object], signed: tuple[dict[str, str], bytes]
) -> None:
    headers, body = signed

    with pytest.raises(ValueError, match="No matching signature"):
        node_standardwebhooks(SECRET, headers, body + b" ")


def test_what_is_missing_skips_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "IN_CI", False)

    with pytest.raises(pytest.skip.Exception, match="needs a thing"):
        needs.require("a thing", present=False)


def test_what_is_missing_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "IN_CI", True)

    with pytest.raises(pytest.fail.Exception, match="CI needs a thing"):
        needs.require("a thing", present=False)
