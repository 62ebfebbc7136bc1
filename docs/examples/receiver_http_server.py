"""Receive the events of Coursebell with `http.server` and nothing else.

WEBHOOK_SECRET=whsec_... python receiver_http_server.py
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from coursebell_receiver import Event, InMemoryDeduplicator, OfferingCompleted, receive

SECRETS = os.environ["WEBHOOK_SECRET"]  # several, separated by spaces, while a secret rotates
LARGEST_BODY = 1_000_000  # what is cut off here does not verify
DEDUPLICATOR = InMemoryDeduplicator()


def handle(event: Event) -> None:
    """Do your work here, within 5 seconds; what it raises makes Coursebell try again."""
    if isinstance(event, OfferingCompleted):
        print(event.user.id, event.offering.id, event.registration.passed, flush=True)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10  # seconds without a byte until a connection is closed

    def do_POST(self) -> None:
        body = self.rfile.read(self.length())
        status = receive(self.headers, body, SECRETS, handle, deduplicator=DEDUPLICATOR)
        self.send_response(status)
        self.end_headers()

    do_PUT = do_POST

    def length(self) -> int:
        text = self.headers.get("content-length", "")
        return min(int(text), LARGEST_BODY) if text.isdecimal() and len(text) < 10 else 0


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
