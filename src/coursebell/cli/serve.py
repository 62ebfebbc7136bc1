"""`coursebell serve` and `coursebell dispatch`: the processes that run all the time."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from coursebell import bootstrap
from coursebell.cli.context import invocation_of
from coursebell.cli.output import say
from coursebell.errors import ConfigurationError
from coursebell.metrics import SHARED_DIRECTORY
from coursebell.settings import variable
from coursebell.supervisor import (
    CONFIGURATION_EXIT,
    Child,
    Supervisor,
    die_with_parent,
    open_listener,
)

Lifeline = Annotated[int | None, typer.Option(hidden=True, help="Given by the parent.")]


def serve(
    context: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8400,
    api_workers: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="API processes; 1 on SQLite.")
    ] = 1,
    dispatchers: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Dispatcher processes; 1 on SQLite.")
    ] = 1,
    lifeline: Lifeline = None,
) -> None:
    """Run the REST API and the dispatcher until told to stop.

    Both run as processes of their own and are started again when they die. SIGTERM or Ctrl-C lets
    them finish what they have begun, for at most 10 seconds. Each fills at most one core; with
    PostgreSQL there can be more of either.

    `coursebell serve`

    Behind a reverse proxy on another machine:

    `coursebell serve --host 0.0.0.0 --port 8400`

    On four cores, with PostgreSQL on another machine:

    `coursebell serve --api-workers 2 --dispatchers 2`
    """
    if lifeline is not None:
        die_with_parent(lifeline)
    settings = invocation_of(context).settings()
    bootstrap.configure_logs(settings)
    with bootstrap.ready_registrar(settings) as (registrar, _):
        # what is wrong is said once, here, before any child starts
        if not registrar.database.is_postgres:
            _refuse_more_than_one(api_workers, dispatchers)
    with open_listener(host, port) as listener, _shared_metrics() as environment:
        say(f"Coursebell serves {_address(listener)} (documentation: {_address(listener)}/docs)")
        environment[variable("database_url")] = settings.database_url
        children = [
            *_numbered(api_workers, _api(listener, environment)),
            *_numbered(dispatchers, _dispatcher(environment)),
        ]
        Supervisor(children).run()


def dispatch(
    context: typer.Context,
    *,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="N", help="Serve Prometheus metrics on this port."),
    ] = None,
    lifeline: Lifeline = None,
) -> None:
    """Run a dispatcher alone, beside API processes elsewhere. PostgreSQL takes any number.

    For example:

    `coursebell dispatch --metrics-port 9400`
    """
    with _child(lifeline):
        settings = invocation_of(context).settings()
        bootstrap.configure_logs(settings)
        takeover = 0.0 if lifeline is None else bootstrap.TAKEOVER_SECONDS
        bootstrap.run_dispatcher(settings, metrics_port=metrics_port, takeover_seconds=takeover)


def api(
    context: typer.Context,
    *,
    listener: Annotated[int, typer.Option(help="The listening socket's file descriptor.")],
    lifeline: Lifeline = None,
) -> None:
    """Run the REST API on a socket that `serve` has opened."""
    with _child(lifeline), socket.socket(fileno=listener) as opened:
        settings = invocation_of(context).settings()
        bootstrap.configure_logs(settings)
        bootstrap.run_api(settings, opened)


def import_jobs(context: typer.Context, *, lifeline: Lifeline = None) -> None:
    """Import what was uploaded, until nothing waits. A dispatcher starts this."""
    with _child(lifeline):
        settings = invocation_of(context).settings()
        bootstrap.configure_logs(settings)
        bootstrap.run_imports(settings)


@contextmanager
def _child(lifeline: int | None) -> Iterator[None]:
    """As a child of a supervisor: end with it, and tell it when starting again cannot help."""
    if lifeline is not None:
        die_with_parent(lifeline)
    try:
        yield
    except ConfigurationError as exc:
        if lifeline is None:
            raise
        say(f"coursebell: {exc.message}")
        raise typer.Exit(CONFIGURATION_EXIT) from exc


def _refuse_more_than_one(api_workers: int, dispatchers: int) -> None:
    for option, number in (("--api-workers", api_workers), ("--dispatchers", dispatchers)):
        if number > 1:
            raise ConfigurationError(
                f"{option} {number} needs PostgreSQL: an SQLite file takes one writer at a time, "
                "so more processes would only wait for each other."
            )


_COMMAND = (sys.executable, "-m", "coursebell")


def _api(listener: socket.socket, environment: Mapping[str, str]) -> Child:
    return Child(
        name="API",
        argv=(*_COMMAND, "api", "--listener", str(listener.fileno())),
        environment=environment,
        inherits=(listener.fileno(),),
    )


def _dispatcher(environment: Mapping[str, str]) -> Child:
    return Child(name="dispatcher", argv=(*_COMMAND, "dispatch"), environment=environment)


def _numbered(number: int, child: Child) -> list[Child]:
    """So many like `child`: the first under its name, the others with a number behind it."""
    others = (replace(child, name=f"{child.name} {each}") for each in range(2, number + 1))
    return [child, *others]


@contextmanager
def _shared_metrics() -> Iterator[dict[str, str]]:
    """What children need in their environment so that one scrape shows them all.

    Settings go there too: a URL on a command line shows its password to everyone on the machine.
    """
    if SHARED_DIRECTORY in os.environ:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="coursebell-metrics-") as directory:
        yield {SHARED_DIRECTORY: directory}


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
