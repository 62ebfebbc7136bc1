"""A receiver that repeats all it is told, and everywhere it could be read afterwards."""

from __future__ import annotations

import json

import pytest

from acceptance.leaks import Secrets
from acceptance.receivers import Request
from faults.ledgers import Ledger, Treatment
from faults.manners import says
from faults.scenes import Scene

HEADERS = {"Authorization": "Bearer r3ceivers-0wn-t0ken", "X-Api-Key": "another-k3y/of+theirs"}
PASSWORD = "correct horse 8attery"
LISTS = ("users", "courses", "offerings", "registrations", "webhooks", "events", "tokens")


def echoes(request: Request) -> Treatment:
    """500, and everything that came, in the headers and as JSON in the body."""
    came = "".join(f"X-You-Sent-{name}: {value}\r\n" for name, value in request.headers)
    body = json.dumps({"headers": dict(request.headers), "body": request.body.decode()})
    text = f"HTTP/1.1 500 Oh\r\n{came}Content-Length: {len(body)}\r\n\r\n{body}"
    return Treatment(says(text.encode()), accepted=False)


def quotes(request: Request) -> Treatment:
    """An answer so wrong that a client may quote it when it complains."""
    key = request.header("x-api-key")
    return Treatment(says(f"HTTP/{key} 200 OK\r\n{key}\r\n\r\n".encode()), accepted=False)


@pytest.mark.timeout(300)
def test_nothing_secret_is_in_logs_answers_or_the_database(scene: Scene):
    told = scene.installation.secrets
    told += [PASSWORD, *HEADERS.values(), HEADERS["Authorization"].partition(" ")[2]]
    with (
        scene.connected(Ledger(echoes), headers=HEADERS, retrySchedule=[1]) as echoing,
        scene.connected(Ledger(quotes), headers=HEADERS, retrySchedule=[1]) as quoting,
        scene.client() as admin,
    ):
        offering_id = scene.new_offering()
        user_id = admin.create(
            "users", firstName="Bo", lastName="Lind", email="bo@x.example", password=PASSWORD
        )
        made = admin.do("POST", "tokens", {"name": "of a test", "userId": user_id}).document
        rotated = admin.do("POST", f"webhooks/{echoing.webhook_id}/rotate", {}).document
        registration_id = admin.create("registrations", userId=user_id, offeringId=offering_id)
        admin.do("PUT", f"registrations/{registration_id}", {"grade": 90})
        scene.settle()

        shown = [admin.do("GET", f"{each}?limit=100").text for each in LISTS]
        for connected in (echoing, quoting):
            listed = admin.list(f"webhooks/{connected.webhook_id}/deliveries")
            shown += [admin.do("GET", f"deliveries/{each['id']}").text for each in listed]
        metrics = scene.server.look_at("/metrics")[1]
        secrets, dump = Secrets(told), scene.dump()

    assert secrets.found_in("\n".join(shown)) == []
    assert secrets.found_in(metrics) == []
    assert secrets.found_in(dump) == []
    assert secrets.found_in(scene.installation.log) == []
    assert '"responseBody":"{\\"headers\\"' in "\n".join(shown)  # they were there to be repeated
    assert "***" in "\n".join(shown)
    assert b"Safety at Sea" in dump
    assert {made["secret"], rotated["secret"], echoing.ledger.secret} < set(told)


def test_the_search_finds_what_it_looks_for(scene: Scene):
    key = scene.installation.token
    secrets = Secrets([key])

    assert secrets.found_in(f"token={key};") == [key]
    assert secrets.found_in(b"\x00" + key.encode()) == [key]
    assert secrets.found_in("nothing") == []
