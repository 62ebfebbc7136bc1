"""What must be true when all is done: the API's books and the receiver's books agree."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from acceptance.installations import Client, wait_until
from acceptance.receivers import Receiver
from coursebell_receiver import OfferingCompleted, verify

DELIVERED = 120.0  # seconds in which a backlog is delivered, refusals included


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Everything about completions, by registration."""

    registrations: dict[str, Any]
    events: dict[str, list[str]]  # ids of offering_completed
    received: dict[str, list[OfferingCompleted]]  # each time one was accepted
    refusals: int

    @property
    def ended(self) -> set[str]:
        return {key for key, each in self.registrations.items() if each["status"] != "active"}


def audit(admin: Client, receiver: Receiver, webhook_id: str, secret: str) -> Audit:
    """Wait until everything is delivered, then read both sides' books."""
    deliveries = f"webhooks/{webhook_id}/deliveries"
    wait_until(
        lambda: not admin.get(f"{deliveries}?status=pending&limit=1")["results"],
        "everything is delivered",
        DELIVERED,
    )
    every = admin.list(deliveries)
    assert {each["status"] for each in every} == {"delivered"}
    events = defaultdict(list)
    for event in admin.list("events", event="offering_completed"):
        events[event["registrationId"]].append(event["id"])
    received = defaultdict(list)
    for each in receiver.books:
        event = verify(each.request.headers, each.request.body, secret)
        assert isinstance(event, OfferingCompleted)
        if each.status < 300:
            received[event.registration.id].append(event)
    assert len(every) == sum(map(len, events.values()))
    return Audit(
        registrations={each["id"]: each for each in admin.list("registrations")},
        events=dict(events),
        received=dict(received),
        refusals=sum(each.status >= 300 for each in receiver.books),
    )
