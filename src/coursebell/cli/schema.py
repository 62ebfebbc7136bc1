"""`coursebell db`: the version of the database's schema, and the key it is sealed with."""

from __future__ import annotations

import typer

from coursebell.cli.context import invocation_of
from coursebell.cli.output import say
from coursebell.services import keys
from coursebell.storage import migrations

app = typer.Typer(
    no_args_is_help=False,
    help="The version of the database's schema, and the key that seals what is secret in it.",
)


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


@app.command("reseal")
def reseal(context: typer.Context) -> None:
    """Seal every webhook's secrets with the first key, so that the other keys can be dropped.

    COURSEBELL_SECRET_KEY names the new key first, then the old ones; every process has to be
    restarted with it before. The exit code is 1 when something cannot be read with any of them.

    For example:

    `COURSEBELL_SECRET_KEY=NEW,OLD coursebell db reseal`
    """
    with invocation_of(context).registrar() as registrar:
        migrations.check(registrar.database)
        changed = keys.reseal(registrar)
        found = keys.examine_keys(registrar)
    say(f"Sealed the secrets of {changed} of {found.webhooks} webhooks anew.")
    if found.first_is_enough:
        say("The first key opens all of them. The others can be dropped: restart without them.")
        return
    for webhook_id in found.unreadable:
        say(f"No key opens the secrets of webhook {webhook_id}.")
    say("Do not drop any key. Add the missing one after the others, or delete these webhooks.")
    raise typer.Exit(1)
