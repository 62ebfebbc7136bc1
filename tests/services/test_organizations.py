"""The first organization, and choosing one at the command line."""

import pytest

from coursebell.domain.model import ActorKind, Role, SignIn
from coursebell.errors import ConflictError, InvalidInputError, NotFoundError
from coursebell.services import organizations
from coursebell.services.organizations import NewOrganization
from coursebell.services.people import NewUser
from coursebell.storage.tables import users
from factories import NOW, a_registrar, identify, open_school

ADA = NewUser(first_name="Ada", last_name="Byron", email="ada@school.example")


def found(registrar, admin=ADA, **fields):
    new = NewOrganization(**({"name": "Harbour School"} | fields))
    return organizations.found(registrar, new, admin, NOW)


def test_the_first_organization_comes_with_an_administrator_and_a_way_in(database):
    registrar = a_registrar(database)

    founded = found(registrar, zone="Europe/Berlin", locale="de", sign_in=SignIn.USERNAME)

    actor = identify(registrar, founded.token, NOW)
    assert (actor.role, actor.kind) == (Role.ADMIN, ActorKind.ADMIN)
    assert (actor.user_id, founded.admin.role) == (founded.admin.id, Role.ADMIN)
    assert founded.admin.locale == "de"
    assert organizations.get_organization(registrar, actor) == founded.organization
    assert founded.organization.zone == "Europe/Berlin"


@pytest.mark.parametrize("password", [None, "s3cret-word"])
def test_the_administrator_has_the_password_that_was_given(database, password):
    admin = NewUser(
        first_name="Ada", last_name="Byron", email="ada@school.example", password=password
    )

    found(a_registrar(database), admin)

    with database.snapshot() as tx:
        stored = tx.execute(users.select()).one().password_hash
    assert (stored is None) == (password is None)
    assert stored is None or stored.startswith("$argon2id$")


def test_there_is_no_second_first_organization(database):
    registrar = a_registrar(database)
    first = found(registrar)

    with pytest.raises(ConflictError, match="nothing was changed"):
        found(registrar, name="Other")

    assert organizations.list_organizations(registrar) == [first.organization]


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "CEST"])
def test_an_unknown_zone_is_refused_and_nothing_is_made(database, zone):
    registrar = a_registrar(database)

    with pytest.raises(InvalidInputError) as refused:
        found(registrar, zone=zone)

    assert list(refused.value.field_errors) == ["zone"]
    assert organizations.list_organizations(registrar) == []


@pytest.mark.parametrize(
    ("fields", "named"), [({"email": "x"}, "email"), ({"username": "ada"}, "username")]
)
def test_a_bad_administrator_is_refused_and_nothing_is_made(database, fields, named):
    registrar = a_registrar(database)
    admin = NewUser(**({"first_name": "A", "last_name": "B", "email": "a@b.example"} | fields))

    with pytest.raises(InvalidInputError) as refused:
        found(registrar, admin)

    assert list(refused.value.field_errors) == [named]
    assert organizations.list_organizations(registrar) == []


def test_without_any_organization_the_command_line_says_what_to_do(database):
    with pytest.raises(NotFoundError, match="coursebell init"):
        organizations.choose_organization(a_registrar(database), None)


def test_the_only_organization_needs_no_naming(school):
    assert organizations.choose_organization(school.registrar, None) == school.organization


def test_of_several_organizations_one_is_named_by_id_or_name(school):
    other = open_school(school.database, name="Hill School")
    same_name = open_school(school.database, name="Hill School")
    choose = organizations.choose_organization

    assert choose(school.registrar, "Harbour School") == school.organization
    assert choose(school.registrar, other.organization.id) == other.organization
    assert choose(school.registrar, same_name.organization.id) == same_name.organization
    for wanted, said in [(None, "--organization"), ("Hill School", "--organization"), ("X", "X")]:
        with pytest.raises(NotFoundError, match=said):
            choose(school.registrar, wanted)


def test_the_operator_of_the_command_line_is_an_administrator_without_a_user(school):
    operator = organizations.operator_of(school.organization)

    assert (operator.role, operator.kind, operator.user_id) == (
        Role.ADMIN,
        ActorKind.ADMIN,
        None,
    )
