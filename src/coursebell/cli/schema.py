"""`coursebell db`: the version of the database's schema."""

from __future__ import annotations

import typer

from coursebell.cli.context import invocation_of
from coursebell.cli.output import say
from coursebell.storage import migrations

app = typer.Typer(no_args_is_help=False, help="The version of the database's schema.")


@app.command("upgrade")
def upgrade(context: typer.Context) -> None:
    """Bring the database to the schema of this version of Coursebell. Back it up before.

    For example:

    `coursebell db upgrade`
    """
    with invocation_of(context).registrar() as registrar:
        before = migrations.current(registrar.database)
        migrations.upgrade(registrar.database)
        after = migrations.current(registrar.database)
    if before == after:
        say(f"The database has schema {after} already; nothing was changed.")
    else:
        say(f"Upgraded the database from {before or 'nothing'} to schema {after}.")


@app.command("check")
def check(context: typer.Context) -> None:
    """Say whether the database fits this version of Coursebell; exit code 1 if it does not.

    For example:

    `coursebell db check`
    """
    with invocation_of(context).registrar() as registrar:
        migrations.check(registrar.database)
    say(f"The database has schema {migrations.newest()}, as it should.")
