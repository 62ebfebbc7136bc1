"""Checking one's own books: the digest, and the signed answer that it is compared with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell_receiver import (
    Reason,
    Tally,
    VerificationError,
    read_reconciliation,
    sign,
    tally,
    verify,
)

ONE, TWO, THREE, FOUR, FIVE = (digit * 32 for digit in "12345")
EMPTY = hashlib.sha256(b"").hexdigest()
SignedHeaders = Callable[..., dict[str, str]]


def told(ids: list[str]) -> dict[str, object]:
    found = tally(ids)
    return {"count": found.count, "digest": found.digest}


def answer(**changes: object) -> bytes:
    document = {
        "webhookId": "a" * 32,
        "date": "2031-02-03",
        "settled": True,
        **told([ONE, TWO, THREE, FOUR]),
        "expected": told([ONE, TWO, THREE]),
        "wanted": told([ONE, TWO, THREE, FOUR, FIVE]),
        "statuses": {
            "delivered": told([ONE, TWO]),
            "failed": told([THREE]),
            "cancelled": told([FOUR]),
        },
    }
    return json.dumps(document | changes).encode()


def test_the_digest_is_what_the_documentation_says() -> None:
    assert tally([TWO, ONE, TWO]) == Tally(
        count=2, digest=hashlib.sha256(f"{ONE}\n{TWO}".encode()).hexdigest()
    )
    assert tally([]) == Tally(count=0, digest=EMPTY)


@given(st.sets(st.uuids().map(lambda each: each.hex)), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter_but_every_id_does(ids, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = [*ids, *ids]
    random.shuffle(shuffled)

    assert tally(shuffled) == tally(ids)
    assert tally([*ids, "f" * 33]) != tally(ids)


def test_the_answer_is_read_once_it_is_proven(signed_headers: SignedHeaders, secret: str) -> None:
    body = answer()

    found = read_reconciliation(signed_headers(body), body, secret)

    assert (found.webhook_id, found.date, found.is_settled) == ("a" * 32, date(2031, 2, 3), True)
    assert found.all == tally([ONE, TWO, THREE, FOUR])
    assert found.expected == tally([ONE, TWO, THREE])
    assert found.wanted == tally([ONE, TWO, THREE, FOUR, FIVE])
    assert found.by_status["failed"] == tally([THREE])
    assert found.delivered == tally([ONE, TWO])


@pytest.mark.parametrize(
    ("ids", "agrees"),
    [
        ([TWO, ONE, ONE], False),  # what failed is missing, until it is read in the feed
        ([TWO, ONE, ONE, THREE], True),
        ([ONE, TWO, THREE, FOUR], True),  # the answer to what was cancelled later got lost
        ([ONE, TWO, THREE, FOUR, FIVE], True),  # the feed tells what the webhook was not told
        ([ONE, THREE], False),
        ([ONE, TWO, FOUR], False),
        ([ONE, TWO, THREE, "6" * 32], False),
        ([], False),
    ],
)
def test_all_that_was_to_come_must_be_there_however_it_came(
    ids: list[str], agrees: bool, signed_headers: SignedHeaders, secret: str
) -> None:
    body = answer()

    assert read_reconciliation(signed_headers(body), body, secret).agrees_with(ids) == agrees


def test_a_day_of_which_nothing_was_meant_agrees_with_nothing(
    signed_headers: SignedHeaders, secret: str
) -> None:
    body = answer(statuses={}, expected=told([]), wanted=told([]), **told([]))

    found = read_reconciliation(signed_headers(body), body, secret)

    assert found.agrees_with([])
    assert not found.agrees_with([ONE])


def test_an_altered_answer_is_refused(signed_headers: SignedHeaders, secret: str) -> None:
    headers = signed_headers(answer())

    with pytest.raises(VerificationError) as refused:
        read_reconciliation(headers, answer(count=2), secret)

    assert refused.value.reason is Reason.NO_MATCHING_SIGNATURE


def test_an_old_answer_is_refused(signed_headers: SignedHeaders, secret: str) -> None:
    body = answer()

    with pytest.raises(VerificationError) as refused:
        read_reconciliation(signed_headers(body, timestamp=1), body, secret)

    assert refused.value.reason is Reason.TOO_OLD


@pytest.mark.parametrize(
    "changes",
    [
        {"webhookId": 5},
        {"date": "2031-2-3"},
        {"date": "2031-02-30"},
        {"date": 20310203},
        {"settled": "yes"},
        {"count": -1},
        {"count": True},
        {"digest": "0" * 63},
        {"digest": None},
        {"expected": None},
        {"expected": {"count": 1}},
        {"wanted": []},
        {"statuses": []},
        {"statuses": {"delivered": 5}},
        {"statuses": {"delivered": {"count": 1}}},
    ],
)
def test_what_is_no_reconciliation_is_refused_although_signed(
    changes: dict[str, object], signed_headers: SignedHeaders, secret: str
) -> None:
    body = answer(**changes)

    with pytest.raises(VerificationError) as refused:
        read_reconciliation(signed_headers(body), body, secret)

    assert refused.value.reason is Reason.MALFORMED_RECONCILIATION


def test_an_event_is_no_reconciliation_nor_the_other_way_round(
    signed_headers: SignedHeaders, completed_body: bytes, secret: str
) -> None:
    body = answer()

    with pytest.raises(VerificationError) as event:
        read_reconciliation(signed_headers(completed_body), completed_body, secret)
    with pytest.raises(VerificationError) as books:
        verify(signed_headers(body), body, secret)

    assert event.value.reason is Reason.MALFORMED_RECONCILIATION
    assert books.value.reason is Reason.MALFORMED_EVENT


@given(st.binary(max_size=200))
def test_whatever_is_signed_raises_nothing_else(body: bytes) -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1000",
        "webhook-signature": sign(secret, "msg_1", 1000, body),
    }

    with pytest.raises(VerificationError):
        read_reconciliation(headers, body, secret, now=1000)
