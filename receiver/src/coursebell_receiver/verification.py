"""Whether a delivery really comes from Coursebell, and what it says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Protocol, TypeAlias, runtime_checkable

from coursebell_receiver.errors import Reason, SecretError, VerificationError
from coursebell_receiver.events import DeliveryKind, Event
from coursebell_receiver.parsing import parse_event
from coursebell_receiver.signature import Signer

TOLERANCE_SECONDS = 300


@runtime_checkable
class HeaderItems(Protocol):
    """A dictionary of headers, or what behaves as one, such as `email.message.Message`."""

    def items(self) -> Iterable[tuple[str | bytes, object]]: ...


Headers: TypeAlias = HeaderItems | Iterable[tuple[str | bytes, object]]
"""Headers as any framework gives them: a mapping, or pairs of name and value, `str` or `bytes`."""

_ID, _TIMESTAMP, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_DELIVERY = "coursebell-delivery"
_READ = frozenset({_ID, _TIMESTAMP, _SIGNATURE, _DELIVERY})

# no full stop: it separates what is signed, and an id with one could be read in two ways
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,255}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def verify(
    headers: Headers,
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now: int | None = None,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Event:
    """The event that this request delivers, once it is proven to be genuine and fresh.

    `headers`: names in any case; others than Coursebell's are ignored.
    `body`: the raw bytes as received, before anything parsed them.
    `secrets`: one, or several while a secret rotates; a string may hold several, separated by
    white space. One that matches is enough.
    `now`: seconds since 1970, by default the clock. The attempt may have started up to
    `tolerance_seconds` before or after.

    The body is parsed only after its signature matched. Whatever a sender may put into headers
    and body, the only exception is `VerificationError`. Your own mistakes are `SecretError` (a
    missing or malformed secret) and `TypeError` (a body that is not bytes).
    """
    signed = authenticate(headers, body, secrets, now=now, tolerance_seconds=tolerance_seconds)
    return parse_event(signed.body, event_id=signed.message_id, delivery=signed.delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What is proven to come from a holder of the secret, and to be fresh; not yet parsed."""

    message_id: str
    body: bytes
    delivery: DeliveryKind | None


def authenticate(
    headers: Headers,
    body: bytes,
    secrets: str | Iterable[str],
    *,
    now: int | None = None,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> Signed:
    """What `verify` proves before it parses, with the same parameters and errors."""
    signers = _signers(secrets)
    raw = _raw(body)
    read = _read(headers)
    message_id = _message_id(read)
    timestamp = _timestamp(read)
    _check_fresh(timestamp, int(time.time()) if now is None else now, tolerance_seconds)
    _check_signed(
        presented=_required(read, _SIGNATURE).split(),
        expected=[signer.sign(message_id, timestamp, raw) for signer in signers],
    )
    return Signed(message_id=message_id, body=raw, delivery=_delivery(read))


def _signers(secrets: str | Iterable[str]) -> list[Signer]:
    several = secrets.split() if isinstance(secrets, str) else secrets or ()
    signers = [Signer(secret) for secret in several]
    if not signers:
        raise SecretError("no webhook secret is configured")
    return signers


def _raw(body: bytes) -> bytes:
    if not isinstance(body, bytes | bytearray | memoryview):
        raise TypeError("body must be the bytes as received, not what was decoded from them")
    return bytes(body)


def _read(headers: Headers) -> dict[str, str]:
    """The headers that matter, by their name in lower case."""
    read: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, HeaderItems) else headers:
        key = _name(name)
        if key in read:
            raise VerificationError(Reason.DUPLICATE_HEADER, f"{key} stands twice")
        if key in _READ:
            read[key] = _value(key, value)
    return read


def _name(name: str | bytes) -> str:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return text.lower()


def _value(name: str, value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or not text.isascii():
        raise VerificationError(Reason.MALFORMED_HEADER, f"{name} is not ASCII text")
    return text


def _required(read: dict[str, str], name: str) -> str:
    if name not in read:
        raise VerificationError(Reason.MISSING_HEADER, f"{name} is absent")
    return read[name]


def _message_id(read: dict[str, str]) -> str:
    message_id = _required(read, _ID)
    if not _MESSAGE_ID.fullmatch(message_id):
        raise VerificationError(Reason.MALFORMED_HEADER, f"{_ID} is not an id")
    return message_id


def _timestamp(read: dict[str, str]) -> int:
    text = _required(read, _TIMESTAMP)
    if not _SECONDS.fullmatch(text):
        raise VerificationError(Reason.BAD_TIMESTAMP, f"{_TIMESTAMP} is not a number of seconds")
    return int(text)


def _check_fresh(timestamp: int, now: int, tolerance_seconds: int) -> None:
    if timestamp < now - tolerance_seconds:
        raise VerificationError(Reason.TOO_OLD, f"{_TIMESTAMP} is too long ago")
    if timestamp > now + tolerance_seconds:
        raise VerificationError(Reason.TOO_NEW, f"{_TIMESTAMP} is too far in the future")


def _check_signed(*, presented: Sequence[str], expected: Sequence[str]) -> None:
    # a signature of a version unknown here equals none of ours, which is how it is skipped
    if not any(compare_digest(ours, theirs) for theirs in presented for ours in expected):
        raise VerificationError(Reason.NO_MATCHING_SIGNATURE, "no signature matches a secret")


def _delivery(read: dict[str, str]) -> DeliveryKind | None:
    try:
        return DeliveryKind(read.get(_DELIVERY, ""))
    except ValueError:
        return None
