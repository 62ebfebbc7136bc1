"""The product's dispatcher, told to stop when it has attempted so many deliveries.

Wired as `coursebell dispatch` wires it: settings, logs as JSON at info into a file, metrics. The
schedule's thread is left out: it would look for offerings to halt once in a while.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, nullcontext

from bench.children.sampling import Sampler
from bench.children.talk import hear, say
from bench.databases import move_backends
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


def main() -> int:
    given = hear()
    settings = Settings.load(database_url=given["url"])
    bootstrap.configure_logs(settings)
    with ExitStack() as stack:
        registrar, metrics = stack.enter_context(bootstrap.ready_registrar(settings))
        client = Client(registrar.address_rules)
        stack.callback(client.close)
        bell = hang_bell(registrar.database)
        stack.callback(bell.close)
        moved = registrar.database.path is None and move_backends(given["url"], given["beside"])
        readable, writable = os.pipe()
        left = given["number"]

        def observe(outcome: str, seconds: float) -> None:
            nonlocal left
            metrics.attempted(outcome, seconds)
            left -= 1
            if left == 0:
                os.write(writable, b"!")

        dispatcher = Dispatcher(registrar, client, bell, readable, observe)
        sampler = Sampler(PARTS)
        say({"moved": moved})
        hear()
        start, cpu = time.perf_counter(), time.process_time()
        with sampler.watching() if given["parts"] else nullcontext():
            dispatcher.run()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    say({"seconds": seconds, "cpu": cpu, "parts": dict(sampler.seconds)})
    hear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
