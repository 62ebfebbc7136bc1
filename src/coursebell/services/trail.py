"""The audit trail: entries made from what stood before and what stands after, and read back."""

from __future__ import annotations

from typing import Protocol

from coursebell.domain.changes import difference, snapshot_of
from coursebell.domain.lists import AuditFilters, Page, Slice
from coursebell.domain.model import Actor, Role
from coursebell.errors import NotFoundError
from coursebell.services.registrar import Registrar
from coursebell.storage import audit
from coursebell.storage.audit import Change, Entry


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def change(
    actor: Actor,
    action: str,
    before: _Named | None,
    after: _Named | None,
    *,
    reason: str | None = None,
) -> Change:
    """`action` is `<subject>.<verb>`; no `before` means created, no `after` means deleted."""
    subject = after if before is None else before
    assert subject is not None  # noqa: S101 - one of the two is always there
    if before is not None and after is not None:
        old, new = difference(before, after)
    else:
        old = {} if before is None else snapshot_of(before)
        new = {} if after is None else snapshot_of(after)
    return Change(
        actor=actor,
        action=action,
        subject=action.partition(".")[0],
        subject_id=subject.id,
        before=old or None,
        after=new or None,
        reason=reason,
    )


def list_changes(
    registrar: Registrar, actor: Actor, filters: AuditFilters, page: Page
) -> Slice[Entry]:
    """Newest first."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        return audit.list_changes(tx, actor.organization_id, filters, page)


def get_change(registrar: Registrar, actor: Actor, entry_id: str) -> Entry:
    """Raises `NotFoundError`."""
    actor.require(Role.ADMIN)
    with registrar.database.snapshot() as tx:
        found = audit.find_change(tx, actor.organization_id, entry_id)
    if found is None:
        raise NotFoundError
    return found
