"""How a receiver should conduct itself: judging its answers to what it was sent on trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from coursebell.domain.retry import Outcome

GONE = 410
LATER = (409, 425, 429, 503)  # "not now": a failed attempt, and the same is sent again


class Should(StrEnum):
    """What is right to answer."""

    ACCEPT = "2xx"
    REFUSE = "4xx, best 400"
    ACCEPT_ONE = f"one 2xx; the other 2xx, or to try later: {', '.join(map(str, LATER))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, or what came in its place."""

    outcome: Outcome
    duration_ms: int

    def __str__(self) -> str:
        told = self.outcome.status_code or self.outcome.name
        return f"{told} in {self.duration_ms} ms"

    @property
    def is_refusal(self) -> bool:
        """A 4xx. But 410 would disable the webhook, which no single request should bring about."""
        status = self.outcome.status_code or 0
        return 400 <= status < 500 and status != GONE

    @property
    def is_later(self) -> bool:
        return self.outcome.status_code in LATER


def is_right(should: Should, answers: Sequence[Answer]) -> bool:
    match should:
        case Should.ACCEPT:
            return all(each.outcome.delivered for each in answers)
        case Should.REFUSE:
            return all(each.is_refusal for each in answers)
        case Should.ACCEPT_ONE:
            return any(each.outcome.delivered for each in answers) and all(
                each.outcome.delivered or each.is_later for each in answers
            )
        case _:
            assert_never(should)
