"""What an attempt sends: the signed request of a delivery (`docs/reference/events.md`)."""

from __future__ import annotations

from collections.abc import Mapping

from coursebell.delivery.client import Request
from coursebell.delivery.masking import Masks
from coursebell.domain.targets import host_of
from coursebell.errors import NotFoundError, SealError
from coursebell.logs import logger
from coursebell.services.headers import attempt_headers, delivery_headers, webhook_headers
from coursebell.storage.claims import Claimed
from coursebell.storage.seal import Seal
from coursebell.storage.webhooks import Target, open_headers, open_old_secret, open_secret
from coursebell_receiver import SecretError
from coursebell_receiver.signature import SECRET_PREFIX, Signer

_log = logger(__name__)


class Sender:
    """A target with its secrets opened, ready to build requests. Lives in memory only.

    Raises `SealError` when no key opens the secrets, `SecretError` when one is malformed.
    """

    def __init__(self, target: Target, seal: Seal, public_url: str | None) -> None:
        self.target = target
        self.host = host_of(target.url)
        headers = open_headers(target, seal)
        secret, old_secret = open_secret(target, seal), open_old_secret(target, seal)
        signing = [each for each in (secret, old_secret) if each is not None]
        keys = (each.removeprefix(SECRET_PREFIX).rstrip("=") for each in signing)
        self.masks = Masks([*headers.values(), *keys])
        self._signer = Signer(secret)
        self._old_signer = None if old_secret is None else Signer(old_secret)
        until = target.old_secret_until
        self._old_until = 0.0 if until is None else until.timestamp()
        self._fixed = (*webhook_headers(target.organization_id, public_url), *headers.items())

    def request(self, delivery: Claimed, timestamp: int) -> Request:
        """The request of an attempt that starts at `timestamp` (seconds since 1970).

        Raises `NotFoundError` when the delivery's bytes are gone.
        """
        if delivery.body is None:
            raise NotFoundError("The event's content was removed by retention.")
        signature = self._signature(delivery.event_id, timestamp, delivery.body)
        its_own = delivery_headers(
            event_id=delivery.event_id,
            event=delivery.event,
            occurred_at=delivery.occurred_at,
            kind=delivery.kind,
            registration_id=delivery.registration_id,
            registration_seq=delivery.registration_seq,
            element_id=delivery.element_id,
            user_id=delivery.user_id,
        )
        return Request(
            key=delivery.key,
            method=self.target.method.value,
            url=self.target.url,
            headers=(*self._fixed, *its_own, *attempt_headers(timestamp, signature)),
            body=delivery.body,
            timeout_seconds=self.target.timeout_seconds,
        )

    def _signature(self, event_id: str, timestamp: int, body: bytes) -> str:
        """With the newest secret first, and with the one it replaces until their overlap ends."""
        signature = self._signer.sign(event_id, timestamp, body)
        if self._old_signer is None or timestamp >= self._old_until:
            return signature
        return f"{signature} {self._old_signer.sign(event_id, timestamp, body)}"


class Senders:
    """The senders of the webhooks in hand; a changed webhook gets a new one."""

    def __init__(self, seal: Seal, public_url: str | None) -> None:
        self._seal = seal
        self._public_url = public_url
        self._senders: dict[str, Sender] = {}
        self._sealed: dict[str, Target] = {}

    @property
    def sealed(self) -> frozenset[str]:
        """Webhooks whose secrets could not be opened: not to be claimed for."""
        return frozenset(self._sealed)

    def renew(self, targets: Mapping[str, Target]) -> None:
        """Keep the senders of exactly these targets, without those whose secret cannot be opened.

        One webhook sealed with a lost key must not stop the others: it is logged once, and its
        deliveries stay pending until the key is back.
        """
        sealed, self._sealed = self._sealed, {}
        opened = {each: self._opened(target, sealed.get(each)) for each, target in targets.items()}
        self._senders = {each: sender for each, sender in opened.items() if sender is not None}

    def get(self, webhook_id: str) -> Sender | None:
        """None: the webhook is paused, disabled or deleted by now, or `sealed`."""
        return self._senders.get(webhook_id)

    def _opened(self, target: Target, sealed: Target | None) -> Sender | None:
        kept = self._senders.get(target.webhook_id)
        if kept is not None and kept.target == target:
            return kept
        if target != sealed:
            try:
                return Sender(target, self._seal, self._public_url)
            except (SealError, SecretError) as exc:
                _log.error("webhook.sealed", webhook_id=target.webhook_id, problem=str(exc))
        self._sealed[target.webhook_id] = target
        return None
