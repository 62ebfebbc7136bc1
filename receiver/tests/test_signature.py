"""Signing: the vectors of Standard Webhooks 1.0, secrets good and bad."""

from __future__ import annotations

import base64
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from coursebell_receiver import (
    SecretError,
    Signer,
    UnknownEvent,
    decode_secret,
    generate_secret,
    sign,
    verify,
)

VECTORS = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        1649367553,
        b'{"email":"test@example.com","username":"test_user"}',
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
    ),
]


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@pytest.mark.parametrize(("secret", "message_id", "timestamp", "body", "signature"), VECTORS)
def test_the_vectors_of_standard_webhooks_come_out(
    secret: str, message_id: str, timestamp: int, body: bytes, signature: str
) -> None:
    assert sign(secret, message_id, timestamp, body) == signature


def test_a_signer_signs_again_and_again_as_the_function_does() -> None:
    secret = generate_secret()
    signer = Signer(secret)

    signatures = [signer.sign("msg_1", at, b"{}") for at in (0, 1, 0)]

    assert signatures == [sign(secret, "msg_1", at, b"{}") for at in (0, 1, 0)]


def test_generated_secrets_hold_32_bytes_and_differ() -> None:
    secrets = {generate_secret() for _ in range(20)}

    assert len(secrets) == 20
    assert all(secret.startswith("whsec_") for secret in secrets)
    assert {len(decode_secret(secret)) for secret in secrets} == {32}


@pytest.mark.parametrize("length", [24, 25, 32, 64])
def test_a_key_of_24_to_64_bytes_is_decoded_with_or_without_prefix_padding_and_line_end(
    length: int,
) -> None:
    key = bytes(range(length))
    encoded = base64.b64encode(key).decode()

    for text in (f"whsec_{encoded}", encoded, f" whsec_{encoded}\n", encoded.rstrip("=")):
        assert decode_secret(text) == key


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        ("", "0 bytes"),
        ("whsec_", "0 bytes"),
        (secret_of(bytes(23)), "23 bytes"),
        (secret_of(bytes(65)), "65 bytes"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "24 to 64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa_-", "not base64"),
        ("whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw", "not base64"),
        ("whsec_ключ", "not base64"),
        (None, "is text"),
        (b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "is text"),
    ],
)
def test_a_malformed_secret_is_refused_by_one_error(secret: str, complaint: str) -> None:
    with pytest.raises(SecretError, match=complaint):
        Signer(secret)


def test_the_error_of_a_malformed_secret_does_not_quote_it() -> None:
    secret = "whsec_très-secret"

    with pytest.raises(SecretError) as caught:
        decode_secret(secret)

    shown = "".join(traceback.format_exception_only(caught.value))
    assert "secret is not base64" in shown
    assert "tr" not in shown.replace("coursebell_receiver.errors.SecretError", "")
    assert caught.value.__suppress_context__


@given(key=st.binary(min_size=24, max_size=64), body=st.text(st.characters(codec="utf-8")))
def test_the_reference_library_verifies_what_we_sign(key: bytes, body: str) -> None:
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret_of(key), "msg_1", now, body.encode()),
    }

    Webhook(secret_of(key)).verify(body.encode(), headers, json_parse=False)


@given(key=st.binary(min_size=24, max_size=64), seconds=st.integers(0, 4_000_000_000))
def test_we_verify_what_the_reference_library_signs(key: bytes, seconds: int) -> None:
    body = '{"event":"señal","date":"2014-04-18T00:39:57Z"}'
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": Webhook(secret_of(key)).sign("msg_1", at, body),
    }

    event = verify(headers, body.encode(), secret_of(key), now=seconds)

    assert isinstance(event, UnknownEvent)
    assert event.event == "señal"
