"""The guide tells of every probe that is sent, as it is sent."""

from datetime import UTC, datetime

from coursebell.delivery.battery import battery
from coursebell.domain.events import EventName
from coursebell.domain.model import DeliveryKind
from coursebell_receiver import generate_secret
from docs.pages import section, table


def test_every_check_stands_in_the_guide_in_its_order():
    probes = battery(generate_secret(), datetime.now(UTC), DeliveryKind.TEST).probes()
    rows = table(section("docs/guides/check-a-receiver.md", "What is sent, and why"))

    sent = [probe for probe in probes if probe.name not in list(EventName)]

    assert [row[0] for row in rows[:-1]] == [probe.name for probe in sent]
    assert [row[2] for row in rows[:-1]] == [
        probe.should.removesuffix(", best 400") for probe in sent
    ]
