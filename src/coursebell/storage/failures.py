"""Failed deliveries that somebody has still to see to."""

from __future__ import annotations

from sqlalchemy import and_, exists, or_

from coursebell.domain.model import DeliveryStatus
from coursebell.storage.chains import ORDERED_KINDS
from coursebell.storage.columns import is_exactly
from coursebell.storage.tables import deliveries

_again = deliveries.alias("again")

# Failed, and its event has not arrived at the webhook by a later delivery, nor is on its way. Of
# an event that was sent again in vain the first delivery counts alone, and no test does.
IS_LOST = and_(
    is_exactly(deliveries.c.status, DeliveryStatus.FAILED),
    or_(*(is_exactly(deliveries.c.kind, kind) for kind in sorted(ORDERED_KINDS))),
    ~exists().where(
        _again.c.event_key == deliveries.c.event_key,
        _again.c.webhook_id == deliveries.c.webhook_id,
        or_(
            is_exactly(_again.c.status, DeliveryStatus.DELIVERED),
            is_exactly(_again.c.status, DeliveryStatus.PENDING),
        ),
    ),
)
