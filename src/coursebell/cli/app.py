"""The `coursebell` command: global options, and every error as one line on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from coursebell.cli import serve
from coursebell.cli.context import Invocation
from coursebell.errors import CoursebellError, NotFoundError

FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

_NAME = "coursebell"
_LISTED = ("user", "token")
_OUR_WORDS = (  # for what the library says of numbers
    (r"Input should be a valid integer\b.*", "Must be a whole number."),
    (r"Input should be a valid number\b.*", "Must be a number."),
    (r"Input should be greater than or equal to (\S+)", r"Must be at least \1."),
    (r"Input should be less than or equal to (\S+)", r"Must be at most \1."),
)
_SERVERS = ("serve", "dispatch", "api", "import-jobs")


def everything() -> typer.Typer:
    """All commands."""
    from coursebell.cli import (  # noqa: PLC0415 - `servers` is there not to load them
        accounts,
        archives,
        backup,
        check_receiver,
        demo,
        doctor,
        imports,
        listen,
        reconcile,
        schema,
        webhooks,
    )

    app = _application()
    app.command()(accounts.init)
    _add_servers(app)
    app.add_typer(schema.app, name="db")
    app.command()(doctor.doctor)
    app.add_typer(accounts.users, name="user")
    app.add_typer(accounts.tokens, name="token")
    app.add_typer(webhooks.app, name="webhook")
    app.command()(reconcile.reconcile)
    app.add_typer(imports.app, name="import")
    app.command()(backup.backup)
    app.command()(archives.export)
    app.command("import-archive")(archives.import_archive)
    app.command()(listen.listen)
    app.command("check-receiver")(check_receiver.check_receiver)
    app.command()(demo.demo)
    return app


def servers() -> typer.Typer:
    """The commands of processes that run all the time: they start without loading the others."""
    app = _application()
    _add_servers(app)
    return app


def _application() -> typer.Typer:
    app = typer.Typer(
        name=_NAME,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(coursebell)
    return app


def _add_servers(app: typer.Typer) -> None:
    app.command()(serve.serve)
    app.command()(serve.dispatch)
    app.command(hidden=True)(serve.api)
    app.command("import-jobs", hidden=True)(serve.import_jobs)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return the exit code: 0 done, 1 failed, 2 not understood."""
    app = servers() if arguments and arguments[0] in _SERVERS else everything()
    try:
        code = app(list(arguments) or ["--help"], prog_name=_NAME, standalone_mode=False)
    except typer.TyperException as exc:
        return _complain(_explained(exc), exc.exit_code)
    except CoursebellError as exc:
        return _complain(_located(exc, arguments), FAILURE)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _explained(exc: typer.TyperException) -> str:
    """What was not understood, and the help of the command that did not understand it."""
    message = exc.format_message().replace("Value error, ", "")
    for theirs, ours in _OUR_WORDS:
        message = re.sub(theirs, ours, message)
    context = getattr(exc, "ctx", None)
    command = _NAME if context is None else context.command_path
    for option in ("--database", "--organization"):
        if message.startswith(f"No such option: {option}"):
            message += f" It stands before the command: {_NAME} {option} ... COMMAND."
    return f"{message} See: {command} --help"


def _located(exc: CoursebellError, arguments: Sequence[str]) -> str:
    """The message; where an id is unknown, with the command that lists those that are."""
    group = next((each for each in arguments if each in _LISTED), None)
    if group is None or exc.message != NotFoundError().message:
        return exc.message
    return f"{exc.message} See those that do: {_NAME} {group} list"


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"coursebell: {' '.join(message.split())}\n")
    return code


def _show_version(wanted: bool) -> None:  # noqa: FBT001 Typer's callback
    if wanted:
        sys.stdout.write(f"coursebell {version('coursebell')}\n")
        raise typer.Exit


def coursebell(
    context: typer.Context,
    *,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where everything is kept; wins over COURSEBELL_DATABASE_URL.",
        ),
    ] = None,
    organization: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name or id of the organization; needed when there are several."
        ),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Tell other systems, reliably and at once, when a learner completes an offering.

    See it work:

    `coursebell demo`

    Set it up and run it:

    `coursebell init --organization "Harbour School"`

    `coursebell serve`
    """
    context.obj = Invocation(database_url=database, organization=organization)
