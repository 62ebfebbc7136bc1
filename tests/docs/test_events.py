"""docs/reference/events.md tells what the product sends."""

import json
import re

import pytest

from coursebell.delivery.client import Request
from coursebell.delivery.requests import Sender
from coursebell.domain.events import EventName
from coursebell.domain.model import DeliveryKind, Method
from coursebell.storage.claims import Claimed
from coursebell.storage.seal import Seal
from coursebell.storage.webhooks import Target
from coursebell.web.event_schemas import SCHEMAS, schema_name
from coursebell_receiver.signature import generate_secret
from docs.pages import PAGES, blocks, section, table
from event_examples import with_examples
from factories import NOW

NAME = "docs/reference/events.md"
PAGE = PAGES[NAME]


def test_the_examples_are_what_the_product_makes():
    assert with_examples(PAGE) == PAGE, "run: .venv/bin/python tools/event_examples.py"


@pytest.mark.parametrize("event", EventName)
def test_every_event_is_listed_and_has_an_example(event):
    listed = [row[0] for row in table(PAGE)]
    ((language, example),) = blocks(section(NAME, event))

    assert f"[`{event}`](#{event})" in listed
    assert language == "json"
    assert json.loads(example)["event"] == event


def test_no_event_is_listed_that_does_not_exist():
    assert len(table(PAGE)) == len(EventName)


@pytest.mark.parametrize("event", EventName)
def test_every_field_of_an_event_is_explained(event):
    explained = fields_in(section(NAME, "The envelope")) | fields_in(section(NAME, event))

    assert fields_of(SCHEMAS[schema_name(event)]) <= explained


def fields_in(text: str) -> set[str]:
    cells = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    return set(re.findall(r"`([\w.]+)`", "".join(cells)))


def fields_of(schema: dict[str, object]) -> set[str]:
    """The fields that hold a value, `registration.id` and the like."""
    return {
        f"{name}.{inner}" if "properties" in part else name
        for name, part in schema["properties"].items()
        for inner in part.get("properties", [""])
    }


def test_the_header_table_is_what_an_attempt_sends(secret_key):
    firsts = re.findall(r"^\|([^|]*)\|", section(NAME, "Delivery headers"), re.MULTILINE)
    told = re.findall(r"`([^`]+)`", "".join(firsts))

    sent = [name for name, _ in an_attempt(Seal([secret_key])).headers]

    assert sorted(sent) == sorted(told)


def an_attempt(seal: Seal) -> Request:
    target = Target(
        webhook_id="w",
        organization_id="o",
        url="https://receiver.example/hook",
        method=Method.POST,
        headers_sealed=None,
        secret_sealed=seal.seal(generate_secret().encode()),
        timeout_seconds=5,
        retry_schedule=(),
        max_in_flight=8,
        rate_per_second=None,
    )
    delivery = Claimed(
        key=1,
        id="d",
        lease="l",
        webhook_id="w",
        organization_id="o",
        kind=DeliveryKind.LIVE,
        attempts=0,
        event_id="e",
        event=EventName.OFFERING_COMPLETED,
        occurred_at=NOW,
        user_id="u",
        registration_id="r",
        registration_seq=1,
        element_id=None,
        body=b"{}",
    )
    return Sender(target, seal, None).request(delivery, int(NOW.timestamp()))
