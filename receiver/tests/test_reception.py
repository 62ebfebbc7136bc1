"""The answer to a request: 204, 400, 503, or what the handler raises."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from coursebell_receiver import (
    Event,
    InMemoryDeduplicator,
    SecretError,
    once,
    receive,
)

SignedHeaders = Callable[..., dict[str, str]]


def test_a_genuine_event_is_handled_and_acknowledged(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    handled: list[Event] = []

    status = receive(signed_headers(completed_body), completed_body, secret, handled.append)

    assert status == 204
    assert [event.event for event in handled] == ["offering_completed"]


def test_a_duplicate_is_acknowledged_and_not_handled(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    handled: list[Event] = []
    deduplicator = InMemoryDeduplicator()

    statuses = [
        receive(
            signed_headers(completed_body, timestamp=at),
            completed_body,
            secret,
            handled.append,
            deduplicator=deduplicator,
            now=at,
        )
        for at in (1000, 2000)
    ]

    assert statuses == [204, 204]
    assert len(handled) == 1


def test_a_forged_request_is_refused_and_the_log_says_why(
    signed_headers: SignedHeaders,
    completed_body: bytes,
    secret: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled: list[Event] = []

    with caplog.at_level(logging.WARNING, "coursebell_receiver"):
        status = receive(signed_headers(b"{}"), completed_body, secret, handled.append)

    assert status == 400
    assert handled == []
    assert "no_matching_signature" in caplog.text


def test_an_event_in_progress_is_put_off(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    handled: list[Event] = []
    deduplicator = InMemoryDeduplicator()

    with once(deduplicator, "msg_1"):
        status = receive(
            signed_headers(completed_body),
            completed_body,
            secret,
            handled.append,
            deduplicator=deduplicator,
        )

    assert status == 503
    assert handled == []


def test_what_the_handler_raises_is_raised_and_the_event_stays_new(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    deduplicator = InMemoryDeduplicator()
    headers = signed_headers(completed_body)

    def fail(event: Event) -> None:
        raise OSError(event.id)

    with pytest.raises(OSError, match="msg_1"):
        receive(headers, completed_body, secret, fail, deduplicator=deduplicator)

    assert receive(headers, completed_body, secret, id, deduplicator=deduplicator) == 204
    assert receive(headers, completed_body, secret, fail, deduplicator=deduplicator) == 204


def test_a_missing_secret_is_not_blamed_on_the_sender(
    signed_headers: SignedHeaders, completed_body: bytes
) -> None:
    with pytest.raises(SecretError):
        receive(signed_headers(completed_body), completed_body, "", id)
