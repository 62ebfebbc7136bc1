"""`coursebell init`, `coursebell user` and `coursebell token`: who may come in."""

from __future__ import annotations

from typing import Annotated

import typer

from coursebell.cli.context import Invocation, clock, invocation_of
from coursebell.cli.output import AsJson, Row, answer, every, say, show_list
from coursebell.cli.texts import line
from coursebell.domain.lists import UserFilters
from coursebell.domain.model import Role, Token, User
from coursebell.services import accounts, organizations, people
from coursebell.services.organizations import Founded, NewOrganization
from coursebell.services.people import NewUser
from coursebell.services.registrar import Registrar
from coursebell.storage import migrations

users = typer.Typer(no_args_is_help=False, help="Users of the organization.")
tokens = typer.Typer(no_args_is_help=False, help="API tokens of users.")


def init(
    context: typer.Context,
    *,
    organization: Annotated[
        str,
        typer.Option(metavar="NAME", callback=line(255), help="What the organization is called."),
    ] = "My organization",
    email: Annotated[
        str, typer.Option(metavar="E", help="The first administrator's e-mail address.")
    ] = "admin@coursebell.test",
    zone: Annotated[
        str,
        typer.Option(metavar="Z", help="Where plain dates begin and end: an IANA time zone."),
    ] = "UTC",
) -> None:
    """Make the database, an organization and its first administrator.

    The last line on stdout is the administrator's API token alone. It is shown only now. On a
    database that has an organization nothing is changed and the exit code is 1.

    Everything by default:

    `coursebell init`

    For a script:

    `token=$(coursebell init --organization "Harbour School" --email ada@harbour.example)`
    """
    invocation = invocation_of(context)
    new = NewOrganization(name=invocation.organization or organization, zone=zone)
    admin = NewUser(first_name="First", last_name="Administrator", email=email, role=Role.ADMIN)
    organizations.check_new(new, admin)
    with invocation.registrar() as registrar:
        _prepare(registrar)
        founded = organizations.found(registrar, new, admin, clock())
        kept = registrar.database.path or registrar.database.url_without_password
    _tell(founded, f"{kept}", invocation)


def _prepare(registrar: Registrar) -> None:
    """Migrate an empty database and make its key; leave any other as it is."""
    if migrations.current(registrar.database) is None:
        registrar.database.seal  # noqa: B018 made, or refused before anything is
        migrations.upgrade(registrar.database)
    migrations.check(registrar.database)


def _tell(founded: Founded, kept: str, invocation: Invocation) -> None:
    say(f"Made the organization {founded.organization.name} in {kept}")
    say(f"and its administrator {founded.admin.email}.")
    chosen = invocation.database_url is not None
    say(f"Next: coursebell {'--database URL serve, with the same URL' if chosen else 'serve'}")
    say("The administrator's API token, shown only now:")
    answer(founded.token)


@users.command("create")
def create_user(
    context: typer.Context,
    *,
    email: Annotated[str, typer.Option(metavar="E", help="E-mail address.")],
    first_name: Annotated[
        str, typer.Option(metavar="NAME", callback=line(100), help="First name.")
    ],
    last_name: Annotated[str, typer.Option(metavar="NAME", callback=line(100), help="Last name.")],
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.LEARNER,
    username: Annotated[
        str | None,
        typer.Option(metavar="NAME", callback=line(254), help="Where people sign in by username."),
    ] = None,
    locale: Annotated[
        str | None,
        typer.Option(
            metavar="L", callback=line(100), help="Such as en_US; else the organization's."
        ),
    ] = None,
) -> None:
    """Create a user and print the id.

    For example:

    `coursebell user create --email ada@harbour.example --first-name Ada --last-name Byron`

    `coursebell user create --email bo@li.example --first-name Bo --last-name Li --role admin`
    """
    new = NewUser(
        first_name=first_name,
        last_name=last_name,
        email=email,
        username=username,
        locale=locale,
        role=role,
    )
    with invocation_of(context).office() as (registrar, actor):
        user = people.create_user(registrar, actor, new, clock())
    answer(user.id)


@users.command("list")
def list_users(
    context: typer.Context,
    *,
    email: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only e-mail addresses that contain this.")
    ] = None,
    role: Annotated[Role | None, typer.Option(help="Only this role.")] = None,
    as_json: AsJson = False,
) -> None:
    """List users.

    For example:

    `coursebell user list --role admin`

    `coursebell user list --json | jq -r '.[].email'`
    """
    filters = UserFilters(email=email, role=role)
    with invocation_of(context).office() as (registrar, actor):
        found = list(every(lambda page: people.list_users(registrar, actor, filters, page)))
    columns = ("id", "email", "firstName", "lastName", "role")
    show_list([_user_row(user) for user in found], as_json=as_json, columns=columns)


@tokens.command("create")
def create_token(
    context: typer.Context,
    *,
    user: Annotated[str, typer.Option(metavar="EMAIL", help="Whose token it is to be.")],
    name: Annotated[
        str,
        typer.Option(
            metavar="NAME", callback=line(100), help="What it is for, so that one knows later."
        ),
    ] = "command line",
) -> None:
    """Make an API token with a user's permissions and print it alone. It is shown only now.

    For example:

    `coursebell token create --user ada@harbour.example --name "course player"`
    """
    with invocation_of(context).office() as (registrar, actor):
        owner = people.find_user_by_email(registrar, actor, user)
        made = accounts.create_token(registrar, actor, owner.id, name, clock())
    answer(made.secret)


@tokens.command("list")
def list_tokens(
    context: typer.Context,
    *,
    user: Annotated[
        str | None, typer.Option(metavar="EMAIL", help="Only this user's tokens.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List API tokens, without their secrets.

    For example:

    `coursebell token list --user ada@harbour.example`
    """
    with invocation_of(context).office() as (registrar, actor):
        owner = people.find_user_by_email(registrar, actor, user).id if user else None
        found = list(every(lambda page: accounts.list_tokens(registrar, actor, owner, page)))
    columns = ("id", "name", "userId", "createdDate", "lastUsedDate")
    show_list([_token_row(token) for token in found], as_json=as_json, columns=columns)


@tokens.command("revoke")
def revoke_token(
    context: typer.Context,
    *,
    token_id: Annotated[str, typer.Argument(metavar="ID", help="The token's id, from the list.")],
) -> None:
    """Revoke an API token: from now on nobody gets in with it.

    For example:

    `coursebell token revoke 0123456789abcdef0123456789abcdef`
    """
    with invocation_of(context).office() as (registrar, actor):
        accounts.revoke_token(registrar, actor, token_id, clock())
    say("Revoked.")


def _user_row(user: User) -> Row:
    return {
        "id": user.id,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "username": user.username,
        "email": user.email,
        "locale": user.locale,
        "tags": list(user.tags),
        "role": user.role,
        "createdDate": user.created_at,
        "lastLoginDate": user.last_login_at,
    }


def _token_row(token: Token) -> Row:
    return {
        "id": token.id,
        "name": token.name,
        "userId": token.user_id,
        "createdDate": token.created_at,
        "lastUsedDate": token.last_used_at,
    }
