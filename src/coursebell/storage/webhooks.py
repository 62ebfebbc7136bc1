"""Webhooks: what receivers asked for, with their sealed secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, insert, null, select, update

from coursebell.domain.health import HEALTHY
from coursebell.domain.lists import Page, Slice
from coursebell.domain.model import Method, Payload, Webhook, WebhookKind, WebhookStatus
from coursebell.errors import SealError
from coursebell.storage.database import Transaction
from coursebell.storage.failures import IS_LOST
from coursebell.storage.health import health_columns
from coursebell.storage.lists import slice_of
from coursebell.storage.prepared import Prepared, among
from coursebell.storage.seal import Seal
from coursebell.storage.tables import deliveries, webhooks

IS_ACTIVE = and_(webhooks.c.status == WebhookStatus.ACTIVE, webhooks.c.deleted_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What decides, at commit, whether and how a webhook is told an event."""

    webhook_id: str
    events: tuple[str, ...]
    filters: Mapping[str, object]
    payload: Payload
    status: WebhookStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a dispatcher reads at each attempt."""

    webhook_id: str
    organization_id: str
    url: str
    method: Method
    headers_sealed: bytes | None
    secret_sealed: bytes
    timeout_seconds: int
    retry_schedule: tuple[int, ...]
    max_in_flight: int
    rate_per_second: int | None
    is_backed_off: bool = False
    old_secret_sealed: bytes | None = None  # signs too ...
    old_secret_until: datetime | None = None  # ... until then


def insert_webhook(
    tx: Transaction, webhook: Webhook, headers: Mapping[str, str], secret: str, seal: Seal
) -> None:
    tx.execute(
        insert(webhooks).values(
            id=webhook.id,
            organization_id=webhook.organization_id,
            created_at=webhook.created_at,
            kind=webhook.kind,
            status=webhook.status,
            disabled_reason=webhook.disabled_reason,
            secret_sealed=seal.seal(secret.encode()),
            headers_sealed=_seal_headers(headers, seal),
            **health_columns(HEALTHY),
            **_changeable(webhook),
        )
    )


def update_webhook(
    tx: Transaction, webhook: Webhook, headers: Mapping[str, str] | None, seal: Seal
) -> None:
    """Write what may change; `headers` of None leaves the stored ones."""
    values = _changeable(webhook)
    if headers is not None:
        values["headers_sealed"] = _seal_headers(headers, seal)
    tx.execute(update(webhooks).where(_is(webhook.organization_id, webhook.id)).values(values))


def set_webhook_status(
    tx: Transaction,
    organization_id: str,
    webhook_id: str,
    status: WebhookStatus,
    reason: str | None,
) -> None:
    statement = update(webhooks).where(_is(organization_id, webhook_id))
    tx.execute(statement.values(status=status, disabled_reason=reason))


def replace_secret(
    tx: Transaction,
    organization_id: str,
    webhook_id: str,
    secret: str,
    seal: Seal,
    *,
    old_until: datetime | None,
) -> None:
    """Sign with `secret` from now on, and until `old_until` also with the one there was."""
    values = {
        "secret_sealed": seal.seal(secret.encode()),
        "old_secret_sealed": webhooks.c.secret_sealed if old_until else None,
        "old_secret_until": old_until,
    }
    tx.execute(update(webhooks).where(_is(organization_id, webhook_id)).values(values))


def mark_webhook_deleted(
    tx: Transaction, organization_id: str, webhook_id: str, now: datetime
) -> None:
    tx.execute(update(webhooks).where(_is(organization_id, webhook_id)).values(deleted_at=now))


def find_webhook(
    tx: Transaction,
    organization_id: str,
    webhook_id: str,
    *,
    for_update: bool = False,
    counted: bool = False,
) -> Webhook | None:
    """How many of its deliveries failed is told only where asked for: counting takes time."""
    columns = _COUNTED if counted else _UNCOUNTED
    query = columns.where(_is(organization_id, webhook_id), webhooks.c.deleted_at.is_(None))
    locked = query.with_for_update(key_share=True)  # deliveries may refer to it meanwhile
    row = tx.execute(locked if for_update else query).one_or_none()
    return None if row is None else _webhook(row)


def list_header_names(tx: Transaction, webhook_id: str) -> tuple[str, ...]:
    """Of its custom headers, also when it is deleted."""
    query = select(webhooks.c.header_names).where(webhooks.c.id == webhook_id)
    names: tuple[str, ...] = tx.execute(query).scalar_one()
    return names


def organization_of(tx: Transaction, webhook_id: str) -> str:
    query = select(webhooks.c.organization_id).where(webhooks.c.id == webhook_id)
    found: str = tx.execute(query).scalar_one()
    return found


def list_webhooks(tx: Transaction, organization_id: str, page: Page) -> Slice[Webhook]:
    query = _COUNTED.where(
        webhooks.c.organization_id == organization_id, webhooks.c.deleted_at.is_(None)
    )
    return slice_of(tx, query.order_by(webhooks.c.key), page, _webhook)


_LOST = (
    select(func.count())
    .select_from(deliveries)
    .where(deliveries.c.webhook_id == webhooks.c.id, IS_LOST)
    .scalar_subquery()
)
_COUNTED = select(webhooks, _LOST.label("failed_deliveries"))
_UNCOUNTED = select(webhooks, null().label("failed_deliveries"))


def list_subscriptions(tx: Transaction, organization_id: str) -> list[Subscription]:
    """Of every webhook there is, in the order they were made."""
    return [
        Subscription(
            webhook_id=row.id,
            events=row.events,
            filters=row.filters,
            payload=Payload(row.payload),
            status=WebhookStatus(row.status),
        )
        for row in _SUBSCRIPTIONS.rows(tx, organization_id=organization_id)
    ]


_SUBSCRIPTIONS = Prepared(
    select(
        webhooks.c.id,
        webhooks.c.events,
        webhooks.c.filters,
        webhooks.c.payload,
        webhooks.c.status,
    )
    .where(
        webhooks.c.organization_id == bindparam("organization_id"),
        webhooks.c.deleted_at.is_(None),
    )
    .order_by(webhooks.c.key)
)


def list_targets(tx: Transaction, webhook_ids: Iterable[str]) -> dict[str, Target]:
    """Of those among `webhook_ids` that are active."""
    return {row.id: _target(row) for row in _TARGETS.rows(tx, ids=webhook_ids)}


_TARGETS = Prepared(select(webhooks).where(among(webhooks.c.id, "ids"), IS_ACTIVE))


def open_headers(target: Target, seal: Seal) -> Mapping[str, str]:
    """The custom headers of a webhook in clear. Raises `SealError`."""
    if target.headers_sealed is None:
        return {}
    headers: dict[str, str] = json.loads(seal.open(target.headers_sealed))
    return headers


def open_secret(target: Target, seal: Seal) -> str:
    """The signing secret of a webhook in clear. Raises `SealError`."""
    return seal.open(target.secret_sealed).decode()


def can_open_secret(tx: Transaction, organization_id: str, webhook_id: str, seal: Seal) -> bool:
    """Whether a key opens the secret that signs for a webhook now, whatever it replaces."""
    query = select(webhooks.c.secret_sealed).where(_is(organization_id, webhook_id))
    try:
        seal.open(tx.execute(query).scalar_one())
    except SealError:
        return False
    return True


def open_old_secret(target: Target, seal: Seal) -> str | None:
    """The one before it in clear, as long as it is kept. Raises `SealError`."""
    sealed = target.old_secret_sealed
    return None if sealed is None else seal.open(sealed).decode()


def open_signing_secrets(
    tx: Transaction, organization_id: str, webhook_id: str, seal: Seal, now: datetime
) -> list[str]:
    """The secrets that sign for a webhook now, in clear, the new one first; empty without it.

    Raises `SealError`.
    """
    query = select(
        webhooks.c.secret_sealed, webhooks.c.old_secret_sealed, webhooks.c.old_secret_until
    ).where(_is(organization_id, webhook_id), webhooks.c.deleted_at.is_(None))
    row = tx.execute(query).one_or_none()
    if row is None:
        return []
    sealed = [row.secret_sealed]
    if row.old_secret_sealed is not None and row.old_secret_until > now:
        sealed.append(row.old_secret_sealed)
    return [seal.open(each).decode() for each in sealed]


def _target(row: Row[Any]) -> Target:
    return Target(
        webhook_id=row.id,
        organization_id=row.organization_id,
        url=row.url,
        method=Method(row.method),
        headers_sealed=row.headers_sealed,
        secret_sealed=row.secret_sealed,
        old_secret_sealed=row.old_secret_sealed,
        old_secret_until=row.old_secret_until,
        timeout_seconds=row.timeout_seconds,
        retry_schedule=tuple(row.retry_schedule),
        max_in_flight=row.max_in_flight,
        rate_per_second=row.rate_per_second,
        is_backed_off=row.probe_at is not None,
    )


def _seal_headers(headers: Mapping[str, str], seal: Seal) -> bytes | None:
    return seal.seal(json.dumps(dict(headers)).encode()) if headers else None


def _is(organization_id: str, webhook_id: str) -> ColumnElement[bool]:
    return and_(webhooks.c.organization_id == organization_id, webhooks.c.id == webhook_id)


def _changeable(webhook: Webhook) -> dict[str, Any]:
    return {
        "name": webhook.name,
        "url": webhook.url,
        "method": webhook.method,
        "events": webhook.events,
        "filters": dict(webhook.filters),
        "header_names": webhook.header_names,
        "payload": webhook.payload,
        "timeout_seconds": webhook.timeout_seconds,
        "retry_schedule": list(webhook.retry_schedule),
        "max_in_flight": webhook.max_in_flight,
        "rate_per_second": webhook.rate_per_second,
    }


def _webhook(row: Row[Any]) -> Webhook:
    return Webhook(
        id=row.id,
        organization_id=row.organization_id,
        kind=WebhookKind(row.kind),
        name=row.name,
        url=row.url,
        method=Method(row.method),
        events=row.events,
        filters=row.filters,
        header_names=row.header_names,
        payload=Payload(row.payload),
        timeout_seconds=row.timeout_seconds,
        retry_schedule=tuple(row.retry_schedule),
        max_in_flight=row.max_in_flight,
        rate_per_second=row.rate_per_second,
        status=WebhookStatus(row.status),
        disabled_reason=row.disabled_reason,
        created_at=row.created_at,
        failed_deliveries=row.failed_deliveries,
        consecutive_failures=row.failures,
        failing_since=row.failing_since,
        backed_off_until=row.probe_at,
    )
