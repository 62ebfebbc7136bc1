"""Zaps by Zapier's own code: turned on, run by a real event, turned off, and gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from acceptance.installations import Client, Installation, Server, wait_until
from acceptance.receivers import Receiver
from acceptance.zaps import Zapier, ZapierError
from coursebell.services.zapier import Trigger

EXAMPLE = Path(__file__).parents[2] / "docs/examples/zapier/package.json"
PINNED = Path(__file__).parents[1] / "node/package.json"


@pytest.fixture
def zapier(node_packages: Path, installation: Installation, server: Server) -> Iterator[Zapier]:
    with Zapier(node_packages, server, installation.token) as zapier:
        yield zapier


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_zaps_are_turned_on_run_and_turned_off(zapier, admin, receiver):
    """One server for all that Zapier does, because starting one takes longest."""
    course_id = admin.create("courses", title="Ladders")
    offering_id = admin.create("offerings", title="Ladder safety", courseId=course_id)

    whoever_makes_a_zap_is_told_what_is_wrong(zapier)
    every_trigger_has_a_sample_with_an_id(zapier)
    a_zap_runs_on_a_completion(zapier, admin, receiver, offering_id)
    a_zap_that_is_gone_takes_its_subscription_with_it(zapier, admin, receiver)


def whoever_makes_a_zap_is_told_what_is_wrong(zapier: Zapier) -> None:
    assert zapier.run("validate") == []
    with pytest.raises(ZapierError, match="emailAddress: Invalid email address"):
        create_user(zapier, "nobody")
    with pytest.raises(ZapierError, match="token is missing, unknown or revoked"):
        zapier.run("authentication.test", account={"apiKey": "nonsense"})
    with pytest.raises(ZapierError, match="hookUrl: "):
        zapier.trigger("user_created", "performSubscribe", targetUrl="ftp://x", inputData={})


def every_trigger_has_a_sample_with_an_id(zapier: Zapier) -> None:
    for trigger in Trigger:
        (sample,) = zapier.trigger(trigger, "performList")
        assert sample["event"] == trigger
        assert sample["id"]


def a_zap_runs_on_a_completion(
    zapier: Zapier, admin: Client, receiver: Receiver, offering_id: str
) -> None:
    choice = [{"name": "Ladder safety", "id": offering_id}]
    assert zapier.run("authentication.test") == choice
    assert zapier.trigger("open_offering", "perform") == choice

    # A Zap is built on a sample, and turned on with its filters.
    (sample,) = zapier.trigger("offering_completed", "performList")
    subscribed = zapier.trigger(
        "offering_completed",
        "performSubscribe",
        targetUrl=receiver.url,
        inputData={"offering": offering_id, "passed": True},
    )
    (webhook,) = admin.list("webhooks")
    assert (webhook["id"], webhook["kind"]) == (subscribed["id"], "zapier")
    assert webhook["filters"] == {"offering.id": offering_id, "registration.passed": True}

    # Other Zaps make a learner and register them; the learner completes.
    learner = create_user(zapier, "nia@learner.example")
    registered = zapier.create(
        "register_student", emailAddress="nia@learner.example", offeringId=offering_id
    )
    (registration,) = admin.list("registrations")
    admin.do("PUT", f"registrations/{registration['id']}", {"grade": 92.5})

    wait_until(lambda: receiver.books, "the completion is delivered")
    hook = json.loads(receiver.books[0].request.body)
    (item,) = zapier.trigger("offering_completed", "perform", cleanedRequest=hook)
    assert item.keys() == sample.keys()
    assert item["id"] == registration["id"]
    assert item["user"]["id"] == learner["id"] == registered["studentId"]
    assert item["registration"]["grade"] == 92.5

    zapier.trigger("offering_completed", "performUnsubscribe", subscribeData=subscribed)
    assert admin.list("webhooks") == []


def a_zap_that_is_gone_takes_its_subscription_with_it(
    zapier: Zapier, admin: Client, receiver: Receiver
) -> None:
    receiver.answer = lambda _: HTTPStatus.GONE
    zapier.trigger("user_created", "performSubscribe", targetUrl=receiver.url, inputData={})

    create_user(zapier, "bo@learner.example")

    wait_until(lambda: admin.list("webhooks") == [], "the subscription is deleted")
    assert [received.status for received in receiver.books][1:] == [HTTPStatus.GONE]


def create_user(zapier: Zapier, email: str) -> Any:
    return zapier.create("create_user", firstName="Nia", lastName="Okoro", emailAddress=email)


def test_the_integration_needs_the_version_it_is_tested_with():
    needed, pinned = (json.loads(each.read_text())["dependencies"] for each in (EXAMPLE, PINNED))

    assert needed["zapier-platform-core"] == pinned["zapier-platform-core"]
