"""Changing the key that secrets are sealed with, on both engines."""

from __future__ import annotations

import pytest

from coursebell.errors import SealError
from coursebell.services import keys, webhooks
from coursebell.services.keys import Keys
from coursebell.services.registrar import Registrar
from coursebell.storage import sealed
from coursebell.storage.database import Database
from factories import NOW, open_school

OLD, NEW, LOST = ("the old key of the tests", "the new key of the tests", "a key nobody has")


@pytest.fixture
def with_keys(database_url):
    """Opens the installation with keys of one's choice."""
    opened = []

    def with_keys(*names: str) -> Registrar:
        opened.append(Database(database_url, secret_keys=names))
        return Registrar(database=opened[-1])

    yield with_keys
    for database in opened:
        database.close()


def connect(registrar, number=1, **fields) -> list[str]:
    """The ids of webhooks sealed with the first key."""
    school = open_school(registrar.database)
    return [school.webhook(headers={"X-Key": "abc"}, **fields).webhook.id for _ in range(number)]


def test_with_one_key_there_is_nothing_to_do(with_keys):
    registrar = with_keys(OLD)
    connect(registrar, 2)

    assert keys.examine_keys(registrar) == Keys(webhooks=2, unreadable=(), outdated=())
    assert keys.examine_keys(registrar).first_is_enough
    assert keys.reseal(registrar) == 0


def test_without_webhooks_any_key_is_enough(with_keys):
    assert keys.examine_keys(with_keys(NEW)).first_is_enough
    assert keys.reseal(with_keys(NEW)) == 0


def test_after_resealing_the_old_key_can_be_dropped(with_keys):
    ids = connect(with_keys(OLD), 3)
    both = with_keys(NEW, OLD)
    assert keys.examine_keys(both) == Keys(webhooks=3, unreadable=(), outdated=tuple(ids))
    secrets = opened(both)

    changed = keys.reseal(both)

    assert changed == 3
    assert keys.examine_keys(with_keys(NEW)).first_is_enough
    assert keys.examine_keys(with_keys(OLD)).unreadable == tuple(ids)
    assert opened(with_keys(NEW)) == secrets
    assert keys.reseal(both) == 0


def test_everything_that_is_sealed_is_sealed_anew(with_keys):
    connect(with_keys(OLD))

    keys.reseal(with_keys(NEW, OLD))

    (values,) = opened(with_keys(NEW))
    assert values["headers_sealed"] == b'{"X-Key": "abc"}'
    assert values["secret_sealed"].startswith(b"whsec_")


def test_only_what_is_old_is_written(with_keys):
    connect(with_keys(OLD))
    both = with_keys(NEW, OLD)
    connect(both)

    assert keys.reseal(both) == 1


def test_what_no_key_opens_stays_and_is_named(with_keys):
    (lost,) = connect(with_keys(LOST))
    (old,) = connect(with_keys(OLD))
    both = with_keys(NEW, OLD)
    assert keys.examine_keys(both) == Keys(webhooks=2, unreadable=(lost,), outdated=(old,))

    changed = keys.reseal(both)

    assert changed == 1
    found = keys.examine_keys(both)
    assert (found.unreadable, found.outdated, found.first_is_enough) == ((lost,), (), False)
    assert keys.examine_keys(with_keys(LOST)).unreadable == (old,)


def test_deleted_webhooks_are_left_alone(with_keys):
    registrar = with_keys(OLD)
    school = open_school(registrar.database)
    connected = school.webhook()
    webhooks.delete_webhook(registrar, school.admin, connected.webhook.id, NOW)

    assert keys.examine_keys(with_keys(NEW)) == Keys(webhooks=0, unreadable=(), outdated=())
    assert keys.reseal(with_keys(NEW, OLD)) == 0


def test_more_webhooks_than_one_step_takes_are_all_sealed_anew(with_keys):
    number = keys.STEP + 1
    connect(with_keys(OLD), number)

    assert keys.reseal(with_keys(NEW, OLD)) == number
    assert keys.examine_keys(with_keys(NEW)).webhooks == number


def opened(registrar: Registrar) -> list[dict[str, bytes]]:
    """What every webhook has sealed, in clear; empty values of what cannot be opened."""
    with registrar.database.snapshot() as tx:
        found = sealed.list_sealed(tx, after=0, limit=1000)
    return [
        {name: try_to_open(registrar, value) for name, value in each.values.items()}
        for each in found
    ]


def try_to_open(registrar: Registrar, value: bytes) -> bytes:
    try:
        return registrar.database.seal.open(value)
    except SealError:
        return b""
