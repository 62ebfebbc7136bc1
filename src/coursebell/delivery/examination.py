"""Examining a receiver: sends the probes of a battery, and judges what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from coursebell.delivery.battery import Probe, Shot
from coursebell.delivery.client import Client
from coursebell.delivery.exchange import Request, Result
from coursebell.domain import retry
from coursebell.domain.conduct import Answer, is_right
from coursebell.domain.retry import Outcome

# What a request can end with that makes all after it end alike.
UNREACHABLE = frozenset({retry.BLOCKED_ADDRESS, retry.CONNECT, retry.DNS, retry.TLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Examinee:
    """A receiver, and how it is to be called."""

    url: str
    method: str
    timeout_seconds: float
    headers: Mapping[str, str]  # custom ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a receiver did with one probe."""

    probe: Probe
    answers: Sequence[Answer]
    is_right: bool
    error: str | None  # of the last that was not answered, in words
    ending: Outcome | None  # for which no other probe is sent after this one


def examine(client: Client, examinee: Examinee, probes: Iterable[Probe]) -> Iterator[Finding]:
    """One finding for each probe, in order.

    Ends after one that did not reach the receiver, and after the first, which is a genuine
    delivery, if that was not accepted: whoever refuses everything shows nothing by refusing more.
    """
    for number, probe in enumerate(probes):
        results = _send(client, examinee, probe)
        answers = [Answer(outcome=each.outcome, duration_ms=each.duration_ms) for each in results]
        ending = next(
            (
                each.outcome
                for each in results
                if each.outcome.name in UNREACHABLE or (number == 0 and not each.outcome.delivered)
            ),
            None,
        )
        yield Finding(
            probe=probe,
            answers=answers,
            is_right=is_right(probe.should, answers),
            error=next((each.error for each in reversed(results) if each.error), None),
            ending=ending,
        )
        if ending:
            return


def _send(client: Client, examinee: Examinee, probe: Probe) -> list[Result]:
    if probe.at_once:
        return _exchange(client, examinee, probe.shots)
    return [result for shot in probe.shots for result in _exchange(client, examinee, [shot])]


def _exchange(client: Client, examinee: Examinee, shots: Sequence[Shot]) -> list[Result]:
    """The results of shots that are sent at the same time, in their order."""
    for key, shot in enumerate(shots):
        client.start(_request(examinee, key, shot))
    results: list[Result] = []
    while len(results) < len(shots):
        results += client.advance(examinee.timeout_seconds).results
    return sorted(results, key=lambda result: result.key)


def _request(examinee: Examinee, key: int, shot: Shot) -> Request:
    return Request(
        key=key,
        method=examinee.method,
        url=examinee.url,
        headers=(*shot.headers, *examinee.headers.items()),
        body=shot.body,
        timeout_seconds=examinee.timeout_seconds,
    )
