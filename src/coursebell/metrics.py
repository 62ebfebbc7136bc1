"""What Coursebell counts for Prometheus. No label holds a URL, an id or anything a client wrote.

The counters of several processes are shown together when they share `PROMETHEUS_MULTIPROC_DIR`,
as `coursebell serve` arranges; a killed and restarted process goes on counting beside its past.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Backlog(Protocol):
    """What waits in the database, of all organizations together."""

    @property
    def pending(self) -> int:
        """Deliveries that will be attempted."""

    @property
    def oldest_pending_seconds(self) -> float:
        """How long the oldest of them has been waiting; 0 without any."""

    @property
    def overdue_seconds(self) -> float:
        """How long one has been due that nobody took; near 0 while a dispatcher runs."""

    @property
    def failed(self) -> int:
        """Deliveries whose schedule is exhausted, not sent again since."""

    @property
    def held(self) -> int:
        """Deliveries that wait for their webhook."""

    @property
    def backed_off_webhooks(self) -> int:
        """Webhooks whose receivers are dead for now: they get a probe now and then."""

    @property
    def disabled_webhooks(self) -> int:
        """Webhooks that get nothing until somebody resumes them."""


class Metrics:
    """The counters of this process. Thread-safe.

    `backlog` is asked at each `render`, so that what waits is as true as the database.
    """

    def __init__(self, backlog: Callable[[], Backlog] | None = None) -> None:
        own = CollectorRegistry()
        self._attempts = Counter(
            "coursebell_delivery_attempts",
            "Attempts to deliver, by outcome.",
            ("outcome",),
            registry=own,
        )
        self._attempt_seconds = Histogram(
            "coursebell_delivery_attempt_seconds",
            "How long attempts took.",
            buckets=_SECONDS,
            registry=own,
        )
        self._completions = Counter(
            "coursebell_completions",
            "Registrations that ended as passed or failed.",
            ("source", "passed"),
            registry=own,
        )
        self._requests = Counter(
            "coursebell_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=own,
        )
        self._request_seconds = Histogram(
            "coursebell_http_request_seconds",
            "How long answers took.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=own,
        )
        self._refusals = Counter(
            "coursebell_http_requests_refused",
            "HTTP requests refused because too many others were at hand.",
            registry=own,
        )
        # Their `labels` check and look up under a lock, at a third of the cost of counting.
        self._attempts_by = cache(self._attempts.labels)
        self._completions_by = cache(self._completions.labels)
        self._requests_by = cache(self._requests.labels)
        self._request_seconds_by = cache(self._request_seconds.labels)
        self._shown = _shown(own)
        if backlog is not None:
            self._shown.register(_BacklogCollector(backlog))

    def attempted(self, outcome: str, seconds: float) -> None:
        """Count an attempt. `outcome`: `delivered` or a named failure, from a closed list."""
        self._attempts_by(outcome).inc()
        self._attempt_seconds.observe(seconds)

    def completed(self, *, source: str, passed: bool, count: int = 1) -> None:
        """Count registrations that ended as passed or failed."""
        self._completions_by(source, "true" if passed else "false").inc(count)

    def requested(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is the template, never the path that was asked."""
        self._requests_by(method, route, str(status)).inc()
        self._request_seconds_by(method, route).observe(seconds)

    def refused(self) -> None:
        """Count a request that was refused because too many others were at hand."""
        self._refusals.inc()

    def render(self) -> bytes:
        """Everything, in Prometheus' text format; its media type is `CONTENT_TYPE`."""
        return generate_latest(self._shown)

    def serve(self, port: int, host: str = "127.0.0.1") -> tuple[WSGIServer, threading.Thread]:
        """Answer scrapes on a port of this process's own, until the server is shut down."""
        return start_http_server(port, host, self._shown)


def _shown(own: CollectorRegistry) -> CollectorRegistry:
    """What a scrape sees: the counters of this process, or of all that share the directory."""
    if not os.environ.get(SHARED_DIRECTORY):
        return own
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


class _BacklogCollector(Collector):
    def __init__(self, backlog: Callable[[], Backlog]) -> None:
        self._backlog = backlog

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Named at registration without asking the database."""
        return _gauges(None)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return _gauges(self._backlog())


def _gauges(backlog: Backlog | None) -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily(f"coursebell_{name}", help_text, value=getattr(backlog, field, None))
        for name, field, help_text in _GAUGES
    ]


_GAUGES = (
    ("deliveries_pending", "pending", "Deliveries that will be attempted."),
    (
        "deliveries_oldest_pending_seconds",
        "oldest_pending_seconds",
        "How long the oldest pending delivery has been waiting.",
    ),
    (
        "deliveries_overdue_seconds",
        "overdue_seconds",
        "How long a delivery has been due that nobody took.",
    ),
    (
        "deliveries_failed",
        "failed",
        "Deliveries whose schedule is exhausted, not sent again since.",
    ),
    ("deliveries_held", "held", "Deliveries that wait for their webhook."),
    ("webhooks_backed_off", "backed_off_webhooks", "Webhooks whose receivers are dead for now."),
    ("webhooks_disabled", "disabled_webhooks", "Webhooks that are disabled."),
)
