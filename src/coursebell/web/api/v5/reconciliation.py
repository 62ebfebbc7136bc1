"""Reconciliation: a day of a webhook in numbers, signed as its deliveries are."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from coursebell.domain.model import new_id
from coursebell.services import reconciliation
from coursebell.services.reconciliation import DAY
from coursebell.web.answers import shown
from coursebell.web.auth import Admin
from coursebell.web.documents import ReconciliationDocument, reconciliation_document
from coursebell.web.fields import Day, PathId
from coursebell.web.openapi import UNKNOWN, shows_signed
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/webhooks", route_class=ApiRoute, tags=["webhooks"])


class ReconciliationQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    date: Annotated[datetime | None, Day()] = None


@router.get("/{webhook_id}/reconciliation", **shows_signed(ReconciliationDocument, *UNKNOWN))
async def reconcile_webhook(
    webhook_id: PathId, caller: Admin, query: Annotated[ReconciliationQuery, Query()]
) -> Response:
    """How many events of a UTC day were meant for the webhook, what became of them, and a digest.

    The day is yesterday unless given. The digest is the SHA-256 of the ids in ascending order,
    joined by line feeds. The answer is signed with the webhook's secret, like a delivery, so that
    its receiver can rely on it.
    """
    begin = query.date or caller.now.replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    found = await caller.run(reconciliation.sum_up_day, webhook_id, begin, caller.now)
    answer = shown(reconciliation_document(found))
    message_id = new_id()
    signature = await caller.run(
        reconciliation.sign_answer, webhook_id, message_id, caller.now, bytes(answer.body)
    )
    answer.headers["webhook-id"] = message_id
    answer.headers["webhook-timestamp"] = str(int(caller.now.timestamp()))
    answer.headers["webhook-signature"] = signature
    return answer
