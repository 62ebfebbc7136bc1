"""Deliveries: one event on its way to one webhook, and its attempts."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from coursebell.services import deliveries
from coursebell.web.answers import shown
from coursebell.web.auth import Admin
from coursebell.web.documents import DeliveryDocument, DeliveryReference, delivery_document
from coursebell.web.fields import PathId
from coursebell.web.openapi import CONFLICT, UNKNOWN, shows
from coursebell.web.routes import ApiRoute

router = APIRouter(prefix="/api/v5/deliveries", route_class=ApiRoute, tags=["deliveries"])


@router.get("/{delivery_id}", **shows(DeliveryDocument, *UNKNOWN))
async def get_delivery(delivery_id: PathId, caller: Admin) -> Response:
    """One delivery with its attempts, newest first."""
    found = await caller.run(deliveries.get_delivery, delivery_id)
    return shown(delivery_document(found))


@router.post("/{delivery_id}/resend", **shows(DeliveryReference, *UNKNOWN, *CONFLICT, status=202))
async def resend_delivery(delivery_id: PathId, caller: Admin) -> Response:
    """Send the same event to the same webhook once more, as a delivery of its own."""
    new_id = await caller.run(deliveries.resend, delivery_id, caller.now)
    return shown(DeliveryReference(delivery_id=new_id), status=202)
