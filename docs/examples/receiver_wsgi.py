"""Receive the events of Coursebell as a WSGI application.

WEBHOOK_SECRET=whsec_... python receiver_wsgi.py
WEBHOOK_SECRET=whsec_... gunicorn receiver_wsgi:app
"""

import os
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from coursebell_receiver import Event, InMemoryDeduplicator, OfferingCompleted, receive

SECRETS = os.environ["WEBHOOK_SECRET"]  # several, separated by spaces, while a secret rotates
LARGEST_BODY = 1_000_000  # what is cut off here does not verify
DEDUPLICATOR = InMemoryDeduplicator()  # of this process; several processes need a shared one


def handle(event: Event) -> None:
    """Do your work here, within 5 seconds; what it raises makes Coursebell try again."""
    if isinstance(event, OfferingCompleted):
        print(event.user.id, event.offering.id, event.registration.passed, flush=True)


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    body = environ["wsgi.input"].read(length(environ.get("CONTENT_LENGTH", "")))
    status = receive(headers, body, SECRETS, handle, deduplicator=DEDUPLICATOR)
    start_response(f"{status.value} {status.phrase}", [])
    return []


def length(text: str) -> int:
    return min(int(text), LARGEST_BODY) if text.isdecimal() and len(text) < 10 else 0


if __name__ == "__main__":
    make_server("127.0.0.1", 9000, app).serve_forever()
