"""A database of a chosen size with a dispatcher on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from bench.databases import opened, settle, size_of, throw_away
from bench.piles import PAIR, copy, forget_pending, pile_up, publish_pairs
from bench.rounds import Round, engine
from bench.schools import School, open_school
from coursebell.domain.health import Health
from coursebell.domain.model import WebhookStatus
from coursebell.services import webhooks
from coursebell.storage import health as stored_health
from coursebell.storage import webhooks as stored_webhooks

SCHOOLS, WEBHOOKS = 4, 4  # webhooks of each school that get what is sent
HOSTS = WEBHOOKS  # of the receiver
OBSTACLES = ("paused", "disabled", "backed off")


class Ground:
    """Schools with webhooks, a history, and a backlog in which half waits for the other half.

    Each school also has a webhook for each of the `obstacles`, in front of the others: it gets
    nothing, and its deliveries pile up.
    """

    def __init__(self, kind: str, urls: Sequence[str], *, obstacles: Sequence[str] = ()) -> None:
        self._kind = kind
        self._urls = urls
        self._obstacles = obstacles
        self._stack = ExitStack()

    def __enter__(self) -> Ground:
        with ExitStack() as stack:
            self._prepare(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _prepare(self, stack: ExitStack) -> None:
        self.url = stack.enter_context(throw_away(self._kind))
        self._database = stack.enter_context(opened(self.url))
        self._schools = [open_school(self._database) for _ in range(SCHOOLS)]
        before = [
            [school.connect(self._urls[0]) for _ in self._obstacles] for school in self._schools
        ]
        for school, url in itertools.product(self._schools, self._urls[:WEBHOOKS]):
            school.connect(url)
        self._engine = stack.enter_context(engine(self.url))
        self._past = publish_pairs(self._database, self._schools)
        self._engine.drain(SCHOOLS * self._deliveries_of_a_pair)
        for school, ids in zip(self._schools, before, strict=True):
            self._obstruct(school, ids)

    def add_history(self, number: int) -> None:
        """That many deliveries, about, that have been delivered."""
        copies = number // (SCHOOLS * self._deliveries_of_a_pair)
        if copies:
            copy(self._database, self._past, copies)
            settle(self.url)

    def add_pending(self, number: int) -> None:
        """That many deliveries, about, that are pending: half due, half waiting for those."""
        if number:
            pile_up(self._database, self._schools, WEBHOOKS + len(self._obstacles), number)
            settle(self.url)

    def renew_pending(self, number: int) -> None:
        """Nothing is pending but that many new ones."""
        forget_pending(self._database)
        self.add_pending(number)

    def drain(self, number: int, *, parts: bool = False) -> Round:
        return self._engine.drain(number, parts=parts)

    def size_mb(self) -> float:
        return size_of(self.url) / 1e6

    @property
    def _deliveries_of_a_pair(self) -> int:
        return PAIR * (WEBHOOKS + len(self._obstacles))

    def _obstruct(self, school: School, webhook_ids: list[str]) -> None:
        for obstacle, webhook_id in zip(self._obstacles, webhook_ids, strict=True):
            _OBSTRUCT[obstacle](school, webhook_id)


def _pause(school: School, webhook_id: str) -> None:
    webhooks.pause_webhook(school.registrar, school.operator, webhook_id, datetime.now(UTC))


def _disable(school: School, webhook_id: str) -> None:
    with school.registrar.database.transaction() as tx:
        stored_webhooks.set_webhook_status(
            tx, school.organization.id, webhook_id, WebhookStatus.DISABLED, "switched off"
        )


def _back_off(school: School, webhook_id: str) -> None:
    now = datetime.now(UTC)
    dead = Health(failures=99, failing_since=now, probe_at=now + timedelta(hours=1), probes=9)
    with school.registrar.database.transaction() as tx:
        stored_health.write_health(tx, webhook_id, dead)


_OBSTRUCT = {"paused": _pause, "disabled": _disable, "backed off": _back_off}
