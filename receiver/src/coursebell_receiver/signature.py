"""Signing as in Standard Webhooks 1.0, symmetric version `v1` (HMAC-SHA256).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets

from coursebell_receiver.errors import SecretError

SECRET_PREFIX = "whsec_"  # noqa: S105 - says that a secret follows, is none
VERSION_PREFIX = "v1,"
KEY_BYTES = 32
SHORTEST_KEY, LONGEST_KEY = 24, 64


def generate_secret() -> str:
    """A new random secret: `whsec_` and the base64 of 32 bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def decode_secret(secret: str) -> bytes:
    """The key that `secret` holds, 24 to 64 bytes.

    The prefix `whsec_`, the padding and white space around it may be left out.
    Raises `SecretError`, which never quotes the secret.
    """
    if not isinstance(secret, str):
        raise SecretError("a webhook secret is text that starts with whsec_")
    encoded = secret.strip().removeprefix(SECRET_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        # not `from`: the cause may quote a character of the secret
        raise SecretError("the webhook secret is not base64 after whsec_") from None
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise SecretError(f"the webhook secret holds {len(key)} bytes, not 24 to 64")
    return key


class Signer:
    """Signs with one secret, decoded once; safe to share between threads.

    Raises `SecretError` when it is made with a malformed secret.
    """

    __slots__ = ("_key",)

    def __init__(self, secret: str) -> None:
        self._key = decode_secret(secret)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The value of `webhook-signature`: `v1,` and the base64 of the HMAC.

        `timestamp` is the attempt's start in seconds since 1970. `message_id` has no full stop,
        or what it signs could be read in two ways.
        """
        content = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
        digest = hmac.digest(self._key, content, "sha256")
        return VERSION_PREFIX + binascii.b2a_base64(digest, newline=False).decode()


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """`Signer(secret).sign(...)` for one message. Raises `SecretError`."""
    return Signer(secret).sign(message_id, timestamp, body)
