"""What the tests of the receiver share: one secret, one real body, and requests signed with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coursebell_receiver import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DATA = Path(__file__).parent / "data"


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def completed_body() -> bytes:
    """The vendor's example of `offering_completed`, byte for byte."""
    return (DATA / "offering_completed.json").read_bytes()


@pytest.fixture(scope="session")
def signed_headers() -> Callable[..., dict[str, str]]:
    """Makes the headers of a delivery that is signed, at the time given or now."""

    def make(
        body: bytes,
        *,
        message_id: str = "msg_1",
        timestamp: int | None = None,
        secret: str = SECRET,
        **more: str,
    ) -> dict[str, str]:
        at = int(time.time()) if timestamp is None else timestamp
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(secret, message_id, at, body),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    return make
