"""What an operator asks of an installation, on both engines."""

from datetime import UTC, datetime, timedelta

import pytest

from coursebell.domain.addresses import AddressRules
from coursebell.services import health, organizations, webhooks
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar

NOW = datetime.now(UTC)


@pytest.fixture
def registrar(database) -> Registrar:
    return Registrar(database=database, address_rules=AddressRules.parse("127.0.0.0/8"))


@pytest.fixture
def webhook_id(registrar) -> str:
    founded = organizations.found(
        registrar,
        organizations.NewOrganization(name="Harbour School"),
        NewUser(first_name="Ada", last_name="Byron", email="ada@example.org"),
        NOW,
    )
    actor = organizations.operator_of(founded.organization)
    new = webhooks.NewWebhook(url="http://127.0.0.1:9/", events=("offering_completed",))
    connected = webhooks.create_webhook(registrar, actor, new, NOW)
    webhooks.test_webhook(registrar, actor, connected.webhook.id, NOW)
    return connected.webhook.id


def test_a_database_on_this_machine_has_our_clock(registrar):
    assert abs(health.clock_skew_seconds(registrar, datetime.now(UTC))) < 30


def test_a_clock_that_is_behind_the_database_shows(registrar):
    skew = health.clock_skew_seconds(registrar, datetime.now(UTC) - timedelta(hours=1))

    assert skew == (0 if not registrar.database.is_postgres else pytest.approx(3600, abs=30))


def test_without_deliveries_nothing_is_overdue(registrar):
    assert health.overdue_seconds(registrar, NOW) == 0


def test_a_delivery_that_nobody_takes_is_overdue(registrar, webhook_id):
    assert health.overdue_seconds(registrar, datetime.now(UTC) + timedelta(seconds=1)) > 0
