"""Every kind of bad receiver at once, through the whole product: each has its name and its books.

All of them are webhooks of one organization, so this is also a test that none harms another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from acceptance.installations import Client, wait_until
from acceptance.receivers import Receiver, reserve_port
from delivery import hostile
from faults.ledgers import Ledger, Treatment
from faults.manners import OUTCOMES, Mood, late, says
from faults.scenes import Scene
from faults.stories import COMPLETED

TIMEOUT = 1  # of those who run into it
PATIENCE = 10  # of the others, also on a busy machine
COMPLETIONS = 3  # so that connections are reused where that is possible
FINAL = ("delivered", "failed", "held")
_TRIES = {"delivered": {1}, "http_410": {0, 1}}  # after the first 410 nothing more is sent


@dataclass(slots=True, kw_only=True)
class Troubled:
    """A webhook, what each of its attempts must come to, and how many requests have come."""

    webhook_id: str
    outcome: str
    came: Callable[[], int]
    deliveries: list[dict] = field(default_factory=list)

    @property
    def attempts(self) -> list[dict]:
        return [attempt for each in self.deliveries for attempt in each["attempts"]]


@pytest.fixture(scope="module")
def troubled(scene: Scene, certificates) -> Iterator[dict[str, Troubled]]:
    """By name, and all of them have been told of the same completions."""
    with ExitStack() as stack:
        admin = stack.enter_context(scene.client())
        trap = stack.enter_context(Receiver())
        cast = dict(_cast(admin, stack, certificates, trap))
        for _ in range(COMPLETIONS):
            _complete(admin)
        wait_until(lambda: all(_is_settled(admin, each) for each in cast.values()), "all is told")
        for each in cast.values():
            listed = admin.list(f"webhooks/{each.webhook_id}/deliveries")
            each.deliveries = [admin.get(f"deliveries/{delivery['id']}") for delivery in listed]
        assert trap.books == []  # nobody was led to it
        yield cast
        for each in cast.values():
            admin.do("DELETE", f"webhooks/{each.webhook_id}")


def test_each_trouble_has_its_name_and_its_books(troubled):
    for name, each in troubled.items():
        outcomes = {attempt["outcome"] for attempt in each.attempts}
        statuses = {delivery["status"] for delivery in each.deliveries}

        assert outcomes == {each.outcome}, name
        assert len(each.deliveries) == COMPLETIONS, name
        assert statuses == {_status_after(each.outcome)}, name
        if each.outcome not in ("tls", "connect"):
            assert_all_came(name, each)
        else:
            assert each.came() == 0, name


def assert_all_came(name: str, troubled: Troubled) -> None:
    """As many requests as attempts are logged. A ledger has those of a late answer afterwards."""
    expected = len(troubled.attempts)
    wait_until(lambda: troubled.came() >= expected, f"all that was asked of {name} has come")
    assert troubled.came() == expected, name


def test_what_fails_is_tried_as_often_as_the_schedule_says_and_what_succeeds_once(troubled):
    for name, each in troubled.items():
        tries = {len(delivery["attempts"]) for delivery in each.deliveries}

        assert tries <= _TRIES.get(each.outcome, {2}), name


def test_a_receiver_that_asks_for_time_gets_it_in_both_forms(troubled):
    for name in ("429 with seconds", "429 with a date"):
        for delivery in troubled[name].deliveries:
            first, second = sorted(attempt["startedDate"] for attempt in delivery["attempts"])

            assert _seconds_between(first, second) >= 1, name  # dates have no fractions


def test_a_webhook_that_is_gone_says_so(troubled, scene):
    with scene.client() as admin:
        webhook = admin.get(f"webhooks/{troubled['410'].webhook_id}")

    assert webhook["status"] == "disabled"
    assert "410" in webhook["disabledReason"]


def _cast(admin: Client, stack: ExitStack, certificates, trap) -> Iterator[tuple[str, Troubled]]:
    redirect = b"HTTP/1.1 307 Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n"
    to_the_trap = says(redirect % trap.url.encode())
    for name, (outcome, make) in OUTCOMES.items():
        mood = Mood()
        stack.callback(mood.end)
        yield name, _connect(admin, stack, outcome, Ledger(make(mood)))
    mood = Mood()
    stack.callback(mood.end)
    yield "late", _connect(admin, stack, "timeout", Ledger(late(mood, TIMEOUT)))
    followed = Ledger(lambda _: Treatment(to_the_trap, accepted=False))
    yield "redirect to a trap", _connect(admin, stack, "redirect", followed)
    yield "410", _connect(admin, stack, "http_410", Ledger(lambda _: Treatment(410, False)))
    yield "well", _connect(admin, stack, "delivered", Ledger())
    for name, outcome, context in (
        ("TLS", "delivered", certificates.trusted),
        ("expired certificate", "tls", certificates.expired),
        ("another's certificate", "tls", certificates.of_another),
        ("unknown certificate", "tls", certificates.unknown),
    ):
        receiver = hostile.Receiver(hostile.answers(hostile.NO_CONTENT), tls=context)
        yield name, _connect_hostile(admin, stack, outcome, receiver)
    no_tls = hostile.Receiver(hostile.answers_and_closes(b"HTTP/1.1 400 No\r\n\r\n"))
    stack.enter_context(_without_reading(no_tls))
    url = no_tls.url.replace("http:", "https:")
    yield "no TLS at all", Troubled(webhook_id=_hook(admin, url), outcome="tls", came=lambda: 0)
    refusing = stack.enter_context(reserve_port())
    url = f"http://127.0.0.1:{refusing.getsockname()[1]}/"
    yield "refused", Troubled(webhook_id=_hook(admin, url), outcome="connect", came=lambda: 0)


def _connect(admin: Client, stack: ExitStack, outcome: str, ledger: Ledger) -> Troubled:
    stack.enter_context(ledger)
    webhook_id, ledger.secret = admin.connect(
        ledger.url,
        COMPLETED,
        retrySchedule=[1],
        timeoutSeconds=TIMEOUT if outcome == "timeout" else PATIENCE,
    )
    return Troubled(webhook_id=webhook_id, outcome=outcome, came=lambda: len(ledger))


def _connect_hostile(
    admin: Client, stack: ExitStack, outcome: str, receiver: hostile.Receiver
) -> Troubled:
    stack.enter_context(receiver)
    return Troubled(
        webhook_id=_hook(admin, receiver.url),
        outcome=outcome,
        came=lambda: len(receiver.requests),
    )


@contextmanager
def _without_reading(receiver: hostile.Receiver) -> Iterator[None]:
    receiver.read_request = lambda connection: connection.recv(65_536)  # type: ignore[method-assign]
    with receiver:
        yield


def _hook(admin: Client, url: str) -> str:
    webhook_id, _ = admin.connect(url, COMPLETED, retrySchedule=[1], timeoutSeconds=PATIENCE)
    return webhook_id


def _complete(admin: Client) -> None:
    course_id = admin.create("courses", title="Safety at Sea")
    offering_id = admin.create("offerings", title="Safety at Sea", courseId=course_id)
    email = f"learner-{time.monotonic_ns()}@harbour.example"
    user_id = admin.create("users", firstName="Bo", lastName="Lind", email=email)
    registration_id = admin.create("registrations", userId=user_id, offeringId=offering_id)
    admin.do("PUT", f"registrations/{registration_id}", {"grade": 90})
    time.sleep(0.2)  # so that an idle connection could be reused, or was closed meanwhile


def _is_settled(admin: Client, troubled: Troubled) -> bool:
    listed = admin.list(f"webhooks/{troubled.webhook_id}/deliveries")
    return len(listed) == COMPLETIONS and all(each["status"] in FINAL for each in listed)


def _status_after(outcome: str) -> str:
    return {"delivered": "delivered", "http_410": "held"}.get(outcome, "failed")


def _seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
