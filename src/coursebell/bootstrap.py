"""The only wiring: settings become a registrar, an app, a dispatcher."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

from coursebell.delivery.client import Client
from coursebell.delivery.dispatcher import Dispatcher
from coursebell.domain.addresses import AddressRules
from coursebell.domain.model import Source
from coursebell.metrics import Metrics
from coursebell.schedule import Schedule
from coursebell.services import deliveries, dispatching
from coursebell.services.registrar import Registrar
from coursebell.settings import Settings
from coursebell.storage import migrations
from coursebell.storage.database import Database
from coursebell.storage.waking import OnlyDispatcher, hang_bell


def open_registrar(settings: Settings, metrics: Metrics | None = None) -> Registrar:
    """The registrar that `settings` describe, whatever its schema; its database is to be closed.

    Raises `ConfigurationError`.
    """

    def count(source: Source, passed: bool) -> None:  # noqa: FBT001 - a callback's shape
        if metrics is not None:
            metrics.completed(source=source.value, passed=passed)

    return Registrar(
        database=Database(settings.database_url, secret_keys=settings.keys),
        public_url=settings.public_url,
        address_rules=AddressRules(allowed=settings.allowed_networks),
        count_completion=count,
    )


def open_metrics(registrar: Registrar) -> Metrics:
    """Metrics with the gauges of this registrar's backlog."""
    return Metrics(lambda: deliveries.measure_backlog(registrar, datetime.now(UTC)))


def run_dispatcher(settings: Settings, metrics: Metrics) -> None:
    """Dispatch, and keep the schedule, until SIGTERM or SIGINT; ends within 10 s of it.

    Belongs in a main thread. Raises `ConfigurationError`: also when the schema does not fit, and
    on SQLite when another dispatcher runs.
    """
    with ExitStack() as stack:
        registrar = open_registrar(settings, metrics)
        stack.callback(registrar.database.close)
        migrations.check(registrar.database)
        if registrar.database.path is not None:
            stack.callback(OnlyDispatcher(registrar.database.path).release)
            dispatching.recover(registrar, datetime.now(UTC))
        client = Client(
            registrar.address_rules,
            proxy=settings.proxy,
            ca_file=None if settings.ca_file is None else str(settings.ca_file),
        )
        stack.callback(client.close)
        bell = hang_bell(registrar.database)
        stack.callback(bell.close)
        schedule = Schedule(registrar, _retention(settings))
        stop_descriptor = stack.enter_context(_stop_signals())
        schedule.start()
        stack.callback(schedule.stop)
        Dispatcher(registrar, client, bell, stop_descriptor, metrics.attempted).run()


def _retention(settings: Settings) -> timedelta | None:
    return None if settings.retention_days is None else timedelta(days=settings.retention_days)


@contextmanager
def _stop_signals() -> Iterator[int]:
    """A descriptor that becomes readable at SIGTERM or SIGINT."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)

    def ask_stop(_number: int, _frame: object) -> None:
        os.write(writable, b"!")

    before = {number: signal.signal(number, ask_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield readable
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(readable)
        os.close(writable)
