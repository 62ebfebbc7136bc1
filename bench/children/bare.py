"""The reference of the drains: a libcurl multi loop that sends requests made beforehand.

The same bytes to the same webhooks with as many in flight as the dispatcher may have, and nothing
else: no claim, no signing, no check of addresses, no decision, no record, no log.
"""

from __future__ import annotations

import itertools
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime

import pycurl

from bench.children.talk import hear, say
from bench.databases import opened
from coursebell.delivery.exchange import SUPPRESSED, Request
from coursebell.delivery.requests import Sender
from coursebell.storage import claims, webhooks
from coursebell.storage.database import Database, Transaction

_WAIT = 1.0  # seconds; a socket that becomes ready ends it


class _UndoError(Exception):
    """Leaves the deliveries as they were."""


def pending_requests(database: Database, public_url: str) -> list[Request]:
    """A request for all that is due, from one webhook after the other."""
    lanes: list[list[Request]] = []
    with suppress(_UndoError), database.transaction() as tx:
        lanes.extend(_lanes(tx, database, public_url))
        raise _UndoError
    interleaved = itertools.chain.from_iterable(itertools.zip_longest(*lanes))
    return [request for request in interleaved if request is not None]


def _lanes(tx: Transaction, database: Database, public_url: str) -> list[list[Request]]:
    now = datetime.now(UTC)
    lanes = []
    for target in webhooks.list_targets(
        tx, [each.webhook_id for each in claims.list_work(tx, now)]
    ).values():
        sender, lane = Sender(target, database.seal, public_url), list[Request]()
        while claimed := claims.claim(tx, {target.webhook_id: 500}, "0" * 32, 3_600.0, now):
            lane += [sender.request(each, int(now.timestamp())) for each in claimed]
        lanes.append(lane)
    return lanes


def send(requests: list[Request], in_flight: int) -> int:
    """Send them all; how many were answered 204."""
    prepared = [_prepared(each) for each in reversed(requests)]
    multi = pycurl.CurlMulti()
    idle, busy, good = [_easy() for _ in range(in_flight)], 0, 0
    while prepared or busy:
        while prepared and idle:
            curl = idle.pop()
            url, headers, body = prepared.pop()
            curl.setopt(pycurl.URL, url)
            curl.setopt(pycurl.HTTPHEADER, headers)
            curl.setopt(pycurl.POSTFIELDS, body)
            multi.add_handle(curl)
            busy += 1
        multi.perform()
        _, succeeded, failed = multi.info_read()
        good += sum(curl.getinfo(pycurl.RESPONSE_CODE) == 204 for curl in succeeded)
        for curl in [*succeeded, *(each[0] for each in failed)]:
            multi.remove_handle(curl)
            idle.append(curl)
            busy -= 1
        if not succeeded and busy:
            multi.select(_WAIT)
    for curl in idle:
        curl.close()
    multi.close()
    return good


def _prepared(request: Request) -> tuple[str, list[str], bytes]:
    headers = [f"{name}: {value}" for name, value in request.headers]
    return request.url, SUPPRESSED + headers, request.body


def _easy() -> pycurl.Curl:
    curl = pycurl.Curl()
    curl.setopt(pycurl.POST, 1)
    curl.setopt(pycurl.NOSIGNAL, 1)
    curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    curl.setopt(pycurl.TCP_NODELAY, 1)
    curl.setopt(pycurl.TIMEOUT_MS, 15_000)
    return curl


def main() -> int:
    given = hear()
    with opened(given["url"]) as database:
        requests = pending_requests(database, given["public_url"])
    say(len(requests))
    hear()
    start, cpu = time.perf_counter(), time.process_time()
    good = send(requests, given["in_flight"])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    say({"seconds": seconds, "cpu": cpu, "good": good})
    hear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
