"""docs/reference/webhooks.md names every field, filter, outcome and limit, as they are."""

import re
from datetime import timedelta

import pytest

from coursebell.delivery.exchange import KEPT_BODY, KEPT_HEADERS, MAX_BODY_BYTES, MAX_HEADERS_BYTES
from coursebell.domain import retry, targets
from coursebell.domain.events import FILTERS
from coursebell.domain.model import DeliveryStatus, Payload, WebhookStatus
from coursebell.services import webhooks
from coursebell.web.documents import AttemptDocument, WebhookDocument
from docs.pages import PAGES, section, table

NAME = "docs/reference/webhooks.md"
OUTCOMES = [value for name, value in vars(retry).items() if name.isupper() and type(value) is str]


def marked(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


def test_every_field_of_a_webhook_is_explained():
    fields = {each.alias or name for name, each in WebhookDocument.model_fields.items()}

    assert fields == firsts("Fields")


def test_every_field_of_an_attempt_is_explained():
    fields = {each.alias or name for name, each in AttemptDocument.model_fields.items()}

    assert fields == firsts("What is recorded")


def firsts(heading: str) -> set[str]:
    cells = re.findall(r"^\|([^|]*)\|", section(NAME, heading), re.MULTILINE)
    return marked("".join(cells))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_is_explained(outcome):
    assert outcome in firsts("Success and failure")


def test_answers_of_the_table_have_the_outcome_it_says():
    told = firsts("Success and failure") - set(OUTCOMES) - {"http_<status>"}

    statuses = [int(name.removeprefix("http_")) for name in told]
    assert {retry.outcome_of(status).name for status in statuses} == told
    assert statuses


def test_the_default_schedule_is_told():
    waits = re.search(r"the next waits for (.*?):", section(NAME, "Retries"), re.DOTALL)[1]
    units = {"s": 1, "min": 60, "h": 3600}

    told = [int(count) * units[unit] for count, unit in re.findall(r"(\d+)\s(s|min|h)\b", waits)]

    assert tuple(told) == retry.DEFAULT_SCHEDULE
    assert len(told) + 1 == 10
    assert timedelta(days=3) < timedelta(seconds=sum(told)) < timedelta(days=3.5)


def test_every_filter_is_explained():
    assert [row[0] for row in table(section(NAME, "Filters"))] == list(FILTERS)


def test_every_state_is_explained():
    page = PAGES[NAME]

    assert [row[0] for row in table(section(NAME, "The state of a delivery"))] == list(
        DeliveryStatus
    )
    assert {*WebhookStatus, *Payload} <= marked(page)


def test_every_reserved_header_is_named():
    told = marked(section(NAME, "Custom headers"))

    assert targets.RESERVED_NAMES.union(targets.RESERVED_PREFIXES) <= told


def test_limits_and_defaults_are_those_of_the_code():
    headers, success = section(NAME, "Custom headers"), section(NAME, "Success and failure")
    defaults = {row[0]: row[1] for row in table(section(NAME, "Fields"))}

    assert f"Up to {targets.MAX_HEADERS}," in headers
    for limit in (
        targets.MAX_HEADERS_LENGTH,
        targets.MAX_HEADER_NAME_LENGTH,
        targets.MAX_HEADER_VALUE_LENGTH,
    ):
        assert f"{limit:,} characters" in headers
    assert f"{targets.MAX_URL_LENGTH:,} characters" in section(NAME, "Fields")
    assert f"headers over {MAX_HEADERS_BYTES // 1024} KB" in success
    assert f"up to {MAX_BODY_BYTES // 1024} KB" in success
    assert f"| up to {KEPT_HEADERS // 1024} KB, for everything but 2xx |" in PAGES[NAME]
    assert f"| up to {KEPT_BODY // 1024} KB, for everything but 2xx |" in PAGES[NAME]
    assert defaults["timeoutSeconds"] == str(webhooks.DEFAULT_TIMEOUT_SECONDS)
    assert defaults["maxInFlight"] == str(webhooks.DEFAULT_MAX_IN_FLIGHT)
