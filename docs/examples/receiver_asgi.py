"""Receive the events of Coursebell as an ASGI application, with a handler that is `async`.

WEBHOOK_SECRET=whsec_... uvicorn receiver_asgi:app --port 9000
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from coursebell_receiver import (
    Event,
    InMemoryDeduplicator,
    InProgressError,
    OfferingCompleted,
    VerificationError,
    once,
    verify,
)

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SECRETS = os.environ["WEBHOOK_SECRET"]  # several, separated by spaces, while a secret rotates
LARGEST_BODY = 1_000_000  # what is cut off here does not verify
DEDUPLICATOR = InMemoryDeduplicator()  # of this process; several processes need a shared one


async def handle(event: Event) -> None:
    """Do your work here, within 5 seconds; what it raises makes Coursebell try again."""
    if isinstance(event, OfferingCompleted):
        print(event.user.id, event.offering.id, event.registration.passed, flush=True)


async def app(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    status = await answer(scope["headers"], await read_body(receive))
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body"})


async def answer(headers: list[tuple[bytes, bytes]], body: bytes) -> int:
    try:
        event = verify(headers, body, SECRETS)
        with once(DEDUPLICATOR, event.id) as first:
            if first:
                await handle(event)
    except VerificationError as error:
        print("refused:", error.reason, flush=True)
        return 400
    except InProgressError:
        return 503
    return 204


async def read_body(receive: Receive) -> bytes:
    body, more = b"", True  # more is false, too, when the client went away
    while more and len(body) <= LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
