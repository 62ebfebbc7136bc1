"""Which webhook a command means."""

from __future__ import annotations

import re

from coursebell.cli.output import every
from coursebell.domain.model import Actor, Webhook
from coursebell.errors import ConflictError, NotFoundError
from coursebell.services import webhooks
from coursebell.services.registrar import Registrar

WEBHOOK_HELP = "The webhook: its id, name or URL."

_match_id = re.compile(r"[0-9a-f]{32}").fullmatch


def choose_webhook(registrar: Registrar, actor: Actor, wanted: str) -> Webhook:
    """The one with that id; else the one with that name or URL.

    Raises `NotFoundError`, and `ConflictError` when several have that name.
    """
    if _match_id(wanted):
        try:
            return webhooks.get_webhook(registrar, actor, wanted)
        except NotFoundError:
            pass  # a name may look like an id
    named = [
        each
        for each in every(lambda page: webhooks.list_webhooks(registrar, actor, page))
        if wanted in (each.name, each.url)
    ]
    if not named:
        raise NotFoundError("There is no such webhook. See: coursebell webhook list")
    if len(named) > 1:
        ids = ", ".join(each.id for each in named)
        raise ConflictError(f"Several webhooks are called that; name one by its id: {ids}")
    return named[0]
