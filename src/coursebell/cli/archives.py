"""`coursebell export` and `coursebell import-archive`: an organization as a file."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn

from coursebell.cli.context import clock, invocation_of
from coursebell.cli.output import say
from coursebell.errors import ConfigurationError
from coursebell.services import archives
from coursebell.services.archives import LeftOut
from coursebell.storage import migrations

_EVERY = 1000  # rows between two looks at the counter
_SHOWN = 20  # tokens and webhooks that are named


def export(
    context: typer.Context,
    *,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", dir_okay=False, help="Where to; otherwise stdout."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write everything of the organization as JSON Lines, ids and password hashes too.

    Tokens, webhook secrets and values of custom headers are left out, and listed on stderr. The
    file holds personal data: keep it as you keep the database.

    For example:

    `coursebell export school.jsonl`

    `coursebell export | gzip > school.jsonl.gz`
    """
    with invocation_of(context).office() as (registrar, actor), _target(file, force=force) as out:
        lines = archives.export(registrar, actor, migrations.newest(), clock())
        with _counted() as show, closing(lines):
            for line, count in lines:
                out.write(line)
                show(count)
        left_out = archives.list_left_out(registrar, actor)
    say(f"{count} rows were written.")
    _tell(left_out)


def import_archive(
    context: typer.Context,
    *,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="What export wrote."),
    ],
) -> None:
    """Bring an archive into an empty database, of either kind: all of it or nothing.

    The database is made if it is not there. Stop the server from which the archive comes first, or
    both of them deliver what is pending.

    For example:

    `coursebell --database postgresql://postgres@db/coursebell import-archive school.jsonl`
    """
    with invocation_of(context).registrar() as registrar, file.open("rb") as stream:
        if migrations.current(registrar.database) is None:
            registrar.database.seal  # noqa: B018 made, or refused before anything is
            migrations.upgrade(registrar.database)
        migrations.check(registrar.database)
        count = 0
        with _counted() as show:
            for count in archives.import_archive(registrar, stream, migrations.newest()):
                show(count)
        actor = archives.operator_of_archive(registrar)
        left_out = archives.list_left_out(registrar, actor)
    say(f"{count} rows were imported.")
    _tell(left_out)
    say("Tokens are not in an archive. Make one with: coursebell token create --user EMAIL")


@contextmanager
def _target(file: Path | None, *, force: bool) -> Iterator[TextIO]:
    """The file, which appears when it is whole, readable by its owner only."""
    if file is None:
        yield sys.stdout
        return
    if file.exists() and not force:
        raise ConfigurationError(f"{file} is there already. Replace it with: --force")
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as exc:
        raise ConfigurationError(f"{file} cannot be written: {exc.strerror}.") from exc
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()


@contextmanager
def _counted() -> Iterator[Callable[[int], None]]:
    """Shows a number on stderr, where there is a person to see it."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.completed} rows"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task("", total=None)

        def show(count: int) -> None:
            if count % _EVERY == 0:
                bar.update(task, completed=count)

        yield show


def _tell(left_out: LeftOut) -> None:
    """What has to be issued again, in the words of what to do."""
    if left_out.tokens:
        say(f"Not in an archive: {len(left_out.tokens)} tokens.")
        for token in left_out.tokens[:_SHOWN]:
            say(f"  {token.name}, of user {token.user_id}")
    if left_out.webhooks:
        number = len(left_out.webhooks)
        say(f"Not in an archive: secrets and values of headers of {number} webhooks.")
        for webhook in left_out.webhooks[:_SHOWN]:
            headers = ", ".join(webhook.header_names)
            say(f"  {webhook.id} {webhook.name}{f', headers {headers}' if headers else ''}")
