"""The headers of a delivery's request (`docs/reference/events.md`): to be sent, and to be shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

from coursebell import __version__
from coursebell.domain.instants import format_instant
from coursebell.domain.model import DeliveryKind

USER_AGENT = f"Coursebell/{__version__}"
MASK = "***"

Headers: TypeAlias = Sequence[tuple[str, str]]  # names and values, in order


def webhook_headers(organization_id: str, public_url: str | None) -> Headers:
    """Those that are the same in every request to a webhook."""
    return (
        ("content-type", "application/json"),
        ("user-agent", USER_AGENT),
        ("ce-specversion", "1.0"),
        ("ce-source", _source(organization_id, public_url)),
    )


def delivery_headers(
    *,
    event_id: str,
    event: str,
    occurred_at: datetime,
    kind: DeliveryKind,
    registration_id: str | None,
    registration_seq: int | None,
    element_id: str | None,
    user_id: str | None,
) -> Headers:
    """Those that are the same in every attempt of a delivery."""
    headers = [
        ("webhook-id", event_id),
        ("ce-id", event_id),
        ("ce-type", event),
        ("ce-time", format_instant(occurred_at)),
        ("coursebell-delivery", kind.value),
    ]
    subject = registration_id or element_id or user_id
    if subject is not None:
        headers.append(("ce-subject", subject))
    if registration_seq is not None:
        headers.append(("ce-registrationseq", str(registration_seq)))
    return headers


def attempt_headers(timestamp: int, signature: str) -> Headers:
    """Those of one attempt, which starts at `timestamp` (seconds since 1970)."""
    return (("webhook-timestamp", str(timestamp)), ("webhook-signature", signature))


def masked_headers(names: Iterable[str]) -> Headers:
    """Custom headers without their values."""
    return tuple((name, MASK) for name in names)


def _source(organization_id: str, public_url: str | None) -> str:
    if public_url is None:
        return f"urn:coursebell:{organization_id}"
    return f"{public_url}/organizations/{organization_id}"
