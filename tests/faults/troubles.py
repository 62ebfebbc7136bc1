"""What is done to the last webhook of a scene: its receiver misbehaves, goes away, comes back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from acceptance.installations import wait_until
from acceptance.receivers import Request, reserve_port
from delivery import hostile
from faults.ledgers import Treat, Treatment
from faults.manners import Mood
from faults.scenes import Connected, Scene


@contextmanager
def treated(webhooks: Iterable[Connected], treat: Treat) -> Iterator[None]:
    """Their receivers treat requests so, for a while."""
    before = [(each.ledger, each.ledger.treat) for each in webhooks]
    for ledger, _ in before:
        ledger.treat = treat
    try:
        yield
    finally:
        for ledger, usual in before:
            ledger.treat = usual


def trouble(make: Callable[[Mood], Treat]) -> Callable[[Scene, random.Random], None]:
    """The last webhook's receiver is in a mood for a while."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        mood = Mood()
        with treated(scene.webhooks[-1:], make(mood)):
            time.sleep(rng.uniform(2, 8))
        mood.end()

    return inflict


def moved(
    outcome: str, place: Callable[[], AbstractContextManager[str]]
) -> Callable[[Scene, random.Random], None]:
    """The last webhook's address leads to a `place` where attempts have an `outcome`."""

    def inflict(scene: Scene, rng: random.Random) -> None:
        webhook = f"webhooks/{scene.webhooks[-1].webhook_id}"

        def is_felt() -> bool:
            listed = scene.insist("GET", f"{webhook}/deliveries?limit=100").document["results"]
            return outcome in {each.get("lastOutcome") for each in listed}

        with place() as url:
            scene.insist("PUT", webhook, {"url": url})
            wait_until(is_felt, f"an attempt ends as {outcome}")
            time.sleep(rng.uniform(1, 4))
            scene.insist("PUT", webhook, {"url": scene.webhooks[-1].ledger.url})

    return inflict


@contextmanager
def nobody() -> Iterator[str]:
    with reserve_port() as port:
        yield f"http://127.0.0.1:{port.getsockname()[1]}/"


@contextmanager
def unknown_certificate() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        context, _ = hostile.self_signed(Path(folder), "127.0.0.1")
    with hostile.Receiver(hostile.answers(hostile.NO_CONTENT), tls=context) as receiver:
        yield receiver.url


def gone(scene: Scene, rng: random.Random) -> None:
    """The last webhook's receiver answers 410; somebody resumes the webhook later."""
    troubled = scene.webhooks[-1]

    def treat(_: Request) -> Treatment:
        return Treatment(410, accepted=False)

    webhook = f"webhooks/{troubled.webhook_id}"
    with treated([troubled], treat):
        wait_until(
            lambda: scene.insist("GET", webhook).document["status"] == "disabled", "it is disabled"
        )
        time.sleep(rng.uniform(1, 4))
    scene.insist("POST", f"{webhook}/resume")
