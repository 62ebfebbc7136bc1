"""Verifying: what is genuine passes in any dress, all else is one error with a stable reason."""

from __future__ import annotations

import email.message
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coursebell_receiver import (
    DeliveryKind,
    OfferingCompleted,
    Reason,
    SecretError,
    VerificationError,
    generate_secret,
    sign,
    verify,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_614_265_330
BODY = b'{"event":"bell_rung","date":"2014-04-18T00:39:57Z"}'


def headers_for(body: bytes, *, at: int = NOW, message_id: str = "msg_1") -> dict[str, str]:
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(SECRET, message_id, at, body),
    }


def reason_of(headers: object, body: bytes = BODY, *, now: int | None = NOW) -> Reason:
    with pytest.raises(VerificationError) as caught:
        verify(headers, body, SECRET, now=now)
    return caught.value.reason


def test_a_genuine_delivery_is_verified_by_the_clock(
    signed_headers: Callable[..., dict[str, str]], completed_body: bytes, secret: str
) -> None:
    headers = signed_headers(completed_body, coursebell_delivery="live")

    event = verify(headers, completed_body, secret)

    assert isinstance(event, OfferingCompleted)
    assert event.id == "msg_1"
    assert event.delivery is DeliveryKind.LIVE


def test_headers_are_found_in_any_case_and_in_any_shape() -> None:
    headers = headers_for(BODY)
    message = email.message.Message()
    for name, value in headers.items():
        message[name.title()] = value
    shapes = [
        {name.upper(): value for name, value in headers.items()},
        list(headers.items()),
        ((name.encode(), value.encode()) for name, value in headers.items()),
        {**headers, "x-other": None, "x-öther": "ö"},
        message,
    ]

    events = [verify(shape, BODY, SECRET, now=NOW) for shape in shapes]

    assert {event.id for event in events} == {"msg_1"}
    assert all(one == other for one, other in pairwise(events))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_body_may_be_any_bytes(kind: type) -> None:
    assert verify(headers_for(BODY), kind(BODY), SECRET, now=NOW).event == "bell_rung"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_of_the_standard_is_needed(name: str) -> None:
    headers = headers_for(BODY)
    del headers[name]

    assert reason_of(headers) is Reason.MISSING_HEADER


def test_no_headers_at_all_are_refused() -> None:
    assert reason_of({}) is Reason.MISSING_HEADER
    assert reason_of([]) is Reason.MISSING_HEADER


@pytest.mark.parametrize("name", ["webhook-id", "Webhook-Timestamp", "WEBHOOK-SIGNATURE"])
def test_a_header_that_stands_twice_is_refused_even_when_both_agree(name: str) -> None:
    headers = headers_for(BODY)

    twice = [*headers.items(), (name, headers[name.lower()])]

    assert reason_of(twice) is Reason.DUPLICATE_HEADER


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", ["é", b"\xff", "\udcff", "\uff11", None, 7, ["v"]])
def test_a_header_that_is_not_ascii_text_is_refused(name: str, value: object) -> None:
    assert reason_of({**headers_for(BODY), name: value}) is Reason.MALFORMED_HEADER


@pytest.mark.parametrize("message_id", ["", "msg 1", "msg.1", "msg\n1", "m" * 256])
def test_an_id_that_could_be_read_in_two_ways_is_refused_although_signed(message_id: str) -> None:
    headers = headers_for(BODY, message_id=message_id)

    assert reason_of(headers) is Reason.MALFORMED_HEADER


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "soon",
        "-1",
        "+1",
        "1e9",
        "0x10",
        "1_000",
        "1.5",
        " 1",
        "1\n",
        "nan",
        "9" * 13,
        "9" * 9999,
    ],
)
def test_a_timestamp_that_is_no_plain_number_is_refused(timestamp: str) -> None:
    headers = {**headers_for(BODY), "webhook-timestamp": timestamp}

    assert reason_of(headers) is Reason.BAD_TIMESTAMP


@pytest.mark.parametrize("at", [NOW - 300, NOW, NOW + 300])
def test_an_attempt_is_fresh_for_five_minutes_both_ways(at: int) -> None:
    assert verify(headers_for(BODY, at=at), BODY, SECRET, now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (0, Reason.TOO_OLD),
        (NOW - 301, Reason.TOO_OLD),
        (NOW + 301, Reason.TOO_NEW),
        (999_999_999_999, Reason.TOO_NEW),
    ],
)
def test_a_stale_or_future_attempt_is_refused_although_signed(at: int, reason: Reason) -> None:
    assert reason_of(headers_for(BODY, at=at)) is reason


def test_the_tolerance_can_be_chosen() -> None:
    headers = headers_for(BODY, at=NOW - 301)

    assert verify(headers, BODY, SECRET, now=NOW, tolerance_seconds=301).id == "msg_1"


def test_any_of_several_secrets_and_of_several_signatures_may_match() -> None:
    other = generate_secret()
    mine = headers_for(BODY)
    rotating = {
        **mine,
        "webhook-signature": " ".join(
            ["v1a,ed25519", sign(other, "msg_1", NOW, BODY), mine["webhook-signature"], "v2,x"]
        ),
    }

    assert verify(rotating, BODY, SECRET, now=NOW).id == "msg_1"
    assert verify(mine, BODY, [other, SECRET], now=NOW).id == "msg_1"
    assert verify(mine, BODY, f"{other} {SECRET}\n", now=NOW).id == "msg_1"
    assert verify(rotating, BODY, iter([other]), now=NOW).id == "msg_1"


@pytest.mark.parametrize(
    "signature",
    ["", " ", "v1", "v1,", ",", "v1,AAAA", "v1,*", "v1,A", "v2,{0}", "v1a,{0}", "{0}", "V1,{0}"],
)
def test_what_is_not_a_matching_signature_of_a_known_version_is_refused(signature: str) -> None:
    digest = headers_for(BODY)["webhook-signature"].removeprefix("v1,")
    headers = {**headers_for(BODY), "webhook-signature": signature.format(digest)}

    assert reason_of(headers) is Reason.NO_MATCHING_SIGNATURE


def test_what_was_signed_cannot_be_changed() -> None:
    headers = headers_for(BODY)
    other_id = {**headers, "webhook-id": "msg_2"}
    other_time = {**headers, "webhook-timestamp": str(NOW + 1)}

    assert reason_of(headers, BODY + b" ") is Reason.NO_MATCHING_SIGNATURE
    assert reason_of(other_id) is Reason.NO_MATCHING_SIGNATURE
    assert reason_of(other_time) is Reason.NO_MATCHING_SIGNATURE


def test_another_secret_does_not_verify() -> None:
    with pytest.raises(VerificationError, match="no_matching_signature: no signature"):
        verify(headers_for(BODY), BODY, generate_secret(), now=NOW)


def test_the_body_is_not_parsed_before_it_is_verified() -> None:
    forged = {**headers_for(BODY), "webhook-signature": "v1,AAAA"}

    assert reason_of(forged, b"not json") is Reason.NO_MATCHING_SIGNATURE
    assert reason_of(headers_for(b"not json"), b"not json") is Reason.NOT_JSON
    assert reason_of(headers_for(b"[]"), b"[]") is Reason.MALFORMED_EVENT


@pytest.mark.parametrize("value", ["", "urgent", "LIVE"])
def test_an_unknown_kind_of_delivery_is_none(value: str) -> None:
    headers = {**headers_for(BODY), "coursebell-delivery": value}

    assert verify(headers, BODY, SECRET, now=NOW).delivery is None


@pytest.mark.parametrize("secrets", [None, "", " \n", [], (), ["whsec_short"], b"whsec_AAAA"])
def test_a_mistake_in_your_own_configuration_is_no_verification_error(secrets: object) -> None:
    with pytest.raises(SecretError):
        verify(headers_for(BODY), BODY, secrets, now=NOW)


def test_a_body_that_was_decoded_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="bytes as received"):
        verify(headers_for(BODY), BODY.decode(), SECRET, now=NOW)


NAMES = st.sampled_from(
    ["webhook-id", "webhook-timestamp", "webhook-signature", "coursebell-delivery"]
)
TEXTS = (
    st.text(max_size=40) | st.from_regex(r"\A(v1,[A-Za-z0-9+/=]* ?)+\Z") | st.integers().map(str)
)
ANY_HEADERS = st.lists(
    st.tuples(NAMES | st.text(max_size=20), TEXTS | st.none() | st.floats())
    | st.tuples(NAMES.map(str.encode) | st.binary(max_size=20), st.binary(max_size=40))
)


@given(headers=ANY_HEADERS | st.dictionaries(NAMES, TEXTS), body=st.binary())
def test_whatever_is_sent_unsigned_gives_verification_error_only(
    headers: object, body: bytes
) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(headers, body, SECRET, now=NOW)

    assert caught.value.reason in Reason
    assert str(caught.value).isascii()


@given(body=st.binary())
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 5000)
@example(b'{"a":1e9999999999999999999}')
@example(b'{"a":NaN}')
@example(b'{"a":-Infinity}')
@example(b"\xff\xfe{\x00}\x00")
@example(b"\xef\xbb\xbf{}")
def test_whatever_is_signed_but_no_event_gives_verification_error_only(body: bytes) -> None:
    assert reason_of(headers_for(body), body) in {Reason.NOT_JSON, Reason.MALFORMED_EVENT}


@given(timestamp=st.integers(), now=st.integers(), tolerance=st.integers(0))
def test_absurd_numbers_never_overflow(timestamp: int, now: int, tolerance: int) -> None:
    headers = {**headers_for(BODY), "webhook-timestamp": str(timestamp), "webhook-signature": "v1,"}

    with pytest.raises(VerificationError):
        verify(headers, BODY, SECRET, now=now, tolerance_seconds=tolerance)
