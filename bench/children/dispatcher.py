"""The product's dispatcher, told to stop when it has attempted so many deliveries, or when told.

Wired as `coursebell dispatch` wires it: settings, logs as JSON at info into a file, metrics. The
schedule's thread is left out: it would look for offerings to halt once in a while.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack, nullcontext
from typing import Any

from bench.children.sampling import Sampler
from bench.children.talk import hear, say
from bench.databases import backends, move_backends
from bench.machine import cpu_seconds
from coursebell import bootstrap
from coursebell.delivery.client import Client
from coursebell.delivery.dispatcher import Dispatcher
from coursebell.settings import Settings
from coursebell.storage.waking import hang_bell

PARTS = {
    "coursebell.services.dispatching:claim": "claim",
    "coursebell.services.dispatching:record": "record",
    "coursebell.services.dispatching:read_targets": "webhooks' settings",
    "coursebell.delivery.dispatcher:Dispatcher._renew_senders": "webhooks' settings",
    "coursebell.delivery.dispatcher:log_attempt": "log",
    "coursebell.delivery.records:log_attempt": "log",
    "coursebell.delivery.records:record_of": "decide",
    "coursebell.metrics:Metrics.attempted": "metrics",
    "coursebell.delivery.requests:Sender.request": "sign and head",
    "coursebell.delivery.client:Client.start": "libcurl: start",
    "coursebell.delivery.client:Client._perform": "libcurl: perform and result",
    "coursebell.delivery.client:Client._wait": "libcurl: wait",
    "coursebell.delivery.dispatcher:Dispatcher._start": "lanes",
}


class Subject:
    """Dispatchers, one after the other, that keep their connections and their database's pool."""

    def __init__(self, url: str, beside: int, stack: ExitStack) -> None:
        self._url = url
        self._beside = beside
        settings = Settings.load(database_url=url)
        bootstrap.configure_logs(settings)
        self._registrar, self._metrics = stack.enter_context(bootstrap.ready_registrar(settings))
        ca_file = None if settings.ca_file is None else str(settings.ca_file)
        self._client = Client(self._registrar.address_rules, ca_file=ca_file)
        stack.callback(self._client.close)
        self._bell = hang_bell(self._registrar.database)
        stack.callback(self._bell.close)

    def run(self, number: int | None, *, parts: bool) -> dict[str, Any]:
        """Send until `number` are sent, or until told; what that took."""
        readable, writable = os.pipe()
        sent = 0

        def observe(outcome: str, seconds: float) -> None:
            nonlocal sent
            self._metrics.attempted(outcome, seconds)
            sent += 1
            if sent == number:
                os.write(writable, b"!")

        if number is None:
            threading.Thread(target=lambda: (hear(), os.write(writable, b"!"))).start()
        dispatcher = Dispatcher(self._registrar, self._client, self._bell, readable, observe)
        sampler = Sampler(PARTS)
        move_backends(self._url, self._beside)
        server = self._server_cpu()
        start, cpu = time.perf_counter(), time.process_time()
        with sampler.watching() if parts else nullcontext():
            dispatcher.run()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        os.close(readable)
        os.close(writable)
        return {
            "number": sent,
            "seconds": seconds,
            "cpu": cpu,
            "server_cpu": self._server_cpu() - server,
            "parts": dict(sampler.seconds),
        }

    def _server_cpu(self) -> float:
        return cpu_seconds(backends(self._url))


def main() -> int:
    given = hear()
    with ExitStack() as stack:
        subject = Subject(given["url"], given["beside"], stack)
        bootstrap.settle_memory()
        say()
        while (wish := hear()) is not None:
            say(subject.run(wish["number"], parts=wish["parts"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
