"""What a running server delivers is read by other people's packages, all from one request."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import standardwebhooks
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat

import coursebell
from acceptance.installations import Client, wait_until
from acceptance.receivers import Receiver, Request
from coursebell_receiver import DeliveryKind, OfferingCompleted, Source, verify

KEYS = ["event", "date", "source", "user", "registration", "offering"]
PROFILES = {"full": KEYS, "ids": KEYS, "thin": [*KEYS, "link"]}
TITLE = "Sicherheit auf See — 安全"
API = "https://bell.example/api/v5/"


def test_other_peoples_packages_read_every_kind_of_delivery(admin, receiver, node_standardwebhooks):
    kinds = [(payload, method) for payload in PROFILES for method in ("POST", "PUT")]
    secrets = {
        f"/{payload}/{method}": connect(admin, receiver, payload=payload, method=method)
        for payload, method in kinds
    }

    registration_id = complete_somebody(admin)
    requests = {request.path: request for request in wait_for(receiver, len(kinds))}

    for payload, method in kinds:
        path = f"/{payload}/{method}"
        secret, request = secrets[path], requests[path]
        headers, document = dict(request.headers), json.loads(request.body)
        assert request.method == method
        assert list(document) == PROFILES[payload]
        assert document["registration"]["id"] == registration_id
        assert standardwebhooks.Webhook(secret).verify(request.body, headers) == document
        assert node_standardwebhooks(secret, headers, request.body) == document
        assert verify(request.headers, request.body, secret).document == document
        assert read_cloud_event(request).get_data() == document
        assert request.header("x-school-key") == f"harbour {path}"
        assert request.header("authorization") == "Basic aGFyYm91cjo0NzEx"
    (event_id,) = {request.header("webhook-id") for request in requests.values()}
    assert admin.get(f"events/{event_id}")["registrationId"] == registration_id


def test_what_is_delivered_agrees_with_the_api(admin, receiver):
    secret = connect(admin, receiver, payload="full", method="POST")
    connect(admin, receiver, payload="thin", method="POST")

    registration_id = complete_somebody(admin)
    requests = {request.path: request for request in wait_for(receiver, 2)}

    (summary,) = admin.list("events", event="offering_completed")
    request = requests["/full/POST"]
    event = verify(request.headers, request.body, secret)
    assert isinstance(event, OfferingCompleted)
    assert event.id == summary["id"]
    assert event.delivery is DeliveryKind.LIVE
    assert event.source is Source.SELF
    assert event.registration.id == registration_id
    assert event.registration.passed
    assert event.user.first_name == "Zoë"
    assert event.offering.title == TITLE
    assert b'"grade":71.5,' in request.body
    assert admin.get(f"events/{summary['id']}")["body"] == json.loads(request.body)

    attributes = read_cloud_event(request).get_attributes()
    organization_id = attributes["source"].rpartition("/")[2]
    assert attributes == {
        "specversion": "1.0",
        "id": summary["id"],
        "type": "offering_completed",
        "source": f"https://bell.example/organizations/{organization_id}",
        "time": instant(summary["date"]),
        "subject": registration_id,
        "registrationseq": "2",  # registering was the first
        "datacontenttype": "application/json",
    }
    assert request.header("user-agent") == f"Coursebell/{coursebell.__version__}"

    link = json.loads(requests["/thin/POST"].body)["link"]
    assert link.startswith(API)
    assert admin.get(link.removeprefix(API))["status"] == "passed"


def connect(admin: Client, receiver: Receiver, *, payload: str, method: str) -> str:
    """A webhook whose path and key say what it is; its secret."""
    path = f"/{payload}/{method}"
    headers = {"X-School-Key": f"harbour {path}", "authorization": "Basic aGFyYm91cjo0NzEx"}
    webhook_id, secret = admin.connect(
        receiver.url.replace("/hook", path),
        "offering_completed",
        method=method,
        payload=payload,
        headers=headers,
    )
    assert admin.get(f"webhooks/{webhook_id}")["headers"] == list(headers)
    return secret


def complete_somebody(admin: Client) -> str:
    """Whose name, title and grade are not plain letters and whole numbers; the registration."""
    user_id = admin.create("users", firstName="Zoë", lastName="Åberg", email="zoe@harbour.example")
    course_id = admin.create("courses", title=TITLE)
    offering_id = admin.create("offerings", title=TITLE, courseId=course_id)
    registration_id = admin.create("registrations", userId=user_id, offeringId=offering_id)
    completion = {"grade": 71.5, "source": "SELF"}
    admin.do("POST", f"registrations/{registration_id}/complete", completion)
    return registration_id


def wait_for(receiver: Receiver, number: int) -> list[Request]:
    wait_until(lambda: len(receiver.books) >= number, f"{number} requests have come")
    return [received.request for received in receiver.books]


def read_cloud_event(request: Request):
    return from_binary(HTTPMessage(dict(request.headers), request.body), JSONFormat())


def instant(written: str) -> datetime:
    return datetime.strptime(written, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
