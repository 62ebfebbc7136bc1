"""The only wiring: settings become a registrar, an app, a dispatcher.

Each process loads only what it runs, because loading takes most of starting: the API no libcurl,
the dispatcher no web framework, and the supervisor, for which all others wait, neither.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from coursebell import logs
from coursebell.domain.addresses import AddressRules
from coursebell.domain.model import Source
from coursebell.errors import ConfigurationError
from coursebell.metrics import Backlog, Metrics
from coursebell.services.registrar import Registrar
from coursebell.settings import LogFormat, Settings, unknown_variables, variable
from coursebell.storage import migrations
from coursebell.storage.database import Database

if TYPE_CHECKING:
    from coursebell.storage.waking import OnlyDispatcher

_log = logs.logger("bootstrap")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_KEEP_ALIVE = 65  # seconds; longer than the idle time of usual connection pools and proxies
_LAST_REQUESTS = 8  # seconds that requests get to finish after SIGTERM
_LAST_STEP = 3.0  # seconds that the import at work gets for its step
TAKEOVER_SECONDS = 12.0  # in which a dispatcher whose parent was killed has certainly ended


def configure_logs(settings: Settings) -> None:
    """Log as `settings` say, beginning with what is strange about them."""
    chosen = settings.log_format
    logs.configure(
        as_json=None if chosen is None else chosen is LogFormat.JSON, level=settings.log_level
    )
    for strange in unknown_variables(os.environ):
        _log.warning("settings.unknown", problem=strange)


def open_registrar(settings: Settings, metrics: Metrics | None = None) -> Registrar:
    """The registrar that `settings` describe, whatever its schema; its database is to be closed.

    Raises `ConfigurationError`.
    """

    def count(source: Source, passed: bool) -> None:  # noqa: FBT001 - a callback's shape
        if metrics is not None:
            metrics.completed(source=source.value, passed=passed)

    database = Database(settings.database_url, secret_keys=settings.keys)
    return Registrar(
        database=database,
        upload_directory=settings.upload_directory or _uploads_of(database),
        public_url=settings.public_url,
        address_rules=AddressRules(allowed=settings.allowed_networks),
        count_completion=count,
    )


def _uploads_of(database: Database) -> Path:
    path = database.path
    return Path("coursebell.uploads") if path is None else path.with_name(f"{path.name}.uploads")


@contextmanager
def ready_registrar(settings: Settings) -> Iterator[tuple[Registrar, Metrics]]:
    """A registrar that can serve, and what it counts; closed at the end.

    Raises `SchemaVersionError` where the schema does not fit, `ConfigurationError` where there is
    no key to seal with.
    """

    def measure() -> Backlog:
        from coursebell.services import deliveries  # noqa: PLC0415

        return deliveries.measure_backlog(registrar, datetime.now(UTC))

    metrics = Metrics(measure)
    registrar = open_registrar(settings, metrics)
    with closing(registrar.database) as database:
        migrations.check(database)
        database.seal  # noqa: B018 made or refused now, rather than at the first delivery
        yield registrar, metrics


def settle_memory() -> None:
    """Leave what starting has made out of every garbage collection from now on.

    An application and its libraries are a few hundred thousand objects that stay; looking through
    them again and again took a sixth of the CPU of a completion, and of starting itself, so
    whoever starts to serve does it with `gc.disable`.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()


def run_api(settings: Settings, listener: socket.socket) -> None:
    """Serve the REST API on `listener` until SIGTERM or SIGINT. Belongs in a main thread."""
    gc.disable()  # until it is settled
    import uvicorn  # noqa: PLC0415

    from coursebell.web.app import create_app  # noqa: PLC0415

    with ready_registrar(settings) as (registrar, metrics):
        app = create_app(
            registrar,
            metrics,
            lambda: migrations.check(registrar.database),
            max_requests=settings.max_requests,
        )
        settle_memory()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_LAST_REQUESTS,
        )
        server = uvicorn.Server(config)
        # uvicorn raises the signals again that it has obeyed; then these take them
        for number in _STOP_SIGNALS:
            signal.signal(number, lambda *_: setattr(server, "should_exit", True))
        server.run(sockets=[listener])


def run_dispatcher(
    settings: Settings, *, metrics_port: int | None = None, takeover_seconds: float = 0.0
) -> None:
    """Dispatch, and keep the schedule, until SIGTERM or SIGINT; ends within 10 s of it.

    Belongs in a main thread. Raises `ConfigurationError`: also when the schema does not fit, and
    on SQLite when another dispatcher still runs after `takeover_seconds`; `UnavailableError`
    without a database.
    """
    gc.disable()  # until it is settled
    from coursebell.delivery.client import Client  # noqa: PLC0415
    from coursebell.delivery.dispatcher import Dispatcher  # noqa: PLC0415
    from coursebell.schedule import Schedule  # noqa: PLC0415
    from coursebell.services import dispatching  # noqa: PLC0415
    from coursebell.storage.waking import hang_bell  # noqa: PLC0415

    with ExitStack() as stack:
        registrar, metrics = stack.enter_context(ready_registrar(settings))
        stop_descriptor = stack.enter_context(_stop_signals())
        if metrics_port is not None:
            stack.enter_context(_scrapes(metrics, metrics_port))
        if registrar.database.path is not None:
            path = registrar.database.path
            stack.callback(_become_only_dispatcher(path, takeover_seconds).release)
            dispatching.recover(registrar, datetime.now(UTC))
        client = Client(
            registrar.address_rules,
            max_in_flight=settings.max_in_flight,
            proxy=settings.proxy,
            ca_file=None if settings.ca_file is None else str(settings.ca_file),
        )
        stack.callback(client.close)
        bell = hang_bell(registrar.database)
        stack.callback(bell.close)
        importing = Importing(settings)
        stack.callback(importing.stop)
        schedule = Schedule(registrar, _retention(settings), importing.start, own_run=bell.run_id)
        schedule.start()
        stack.callback(schedule.stop)
        settle_memory()
        dispatcher = Dispatcher(
            registrar,
            client,
            bell,
            stop_descriptor,
            metrics.attempted,
            max_in_flight_per_host=settings.max_in_flight_per_host,
        )
        dispatcher.run()


def run_imports(settings: Settings) -> None:
    """Import what was uploaded, until nothing waits, or SIGTERM or SIGINT.

    Belongs in a main thread.
    """
    from coursebell.services import import_jobs  # noqa: PLC0415
    from coursebell.services.imports import REST  # noqa: PLC0415

    stop = threading.Event()
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    with ready_registrar(settings) as (registrar, _metrics):
        rest = 0.0 if registrar.database.is_postgres else REST

        def keeps_on(seconds: float) -> bool:
            return not stop.wait(seconds * rest)

        while not stop.is_set() and (due := import_jobs.list_due(registrar, datetime.now(UTC))):
            import_jobs.work_on(registrar, due[0], lambda: datetime.now(UTC), keeps_on)


class Importing:
    """At most one process that runs `run_imports`, and ends with this one however this one ends."""

    def __init__(self, settings: Settings) -> None:
        self._environment = {**os.environ, variable("database_url"): settings.database_url}
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline, self._held = os.pipe()

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "coursebell", "import-jobs"]
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*command, "--lifeline", str(self._lifeline)],
                env=self._environment,
                pass_fds=[self._lifeline],
                stdin=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """Let it end with the step at hand; what is left is gone on with later."""
        os.close(self._held)  # which it takes as a SIGTERM
        os.close(self._lifeline)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_STEP)


def _retention(settings: Settings) -> timedelta | None:
    return None if settings.retention_days is None else timedelta(days=settings.retention_days)


@contextmanager
def _scrapes(metrics: Metrics, port: int) -> Iterator[None]:
    try:
        server, thread = metrics.serve(port)
    except OSError as exc:
        raise ConfigurationError(f"Cannot listen on port {port}: {exc.strerror}.") from exc
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def _stop_signals() -> Iterator[int]:
    """A descriptor that becomes readable at SIGTERM or SIGINT; ignored from its end on."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: os.write(writable, b"!"))
    try:
        yield readable
    finally:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        os.close(readable)
        os.close(writable)


def _become_only_dispatcher(path: Path, takeover_seconds: float) -> OnlyDispatcher:
    """Raises `ConfigurationError` when another one stays."""
    from coursebell.storage.waking import OnlyDispatcher  # noqa: PLC0415

    deadline = time.monotonic() + takeover_seconds
    while True:
        try:
            return OnlyDispatcher(path)
        except ConfigurationError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
