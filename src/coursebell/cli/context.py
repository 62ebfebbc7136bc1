"""What every command gets from the options that stand before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from coursebell import bootstrap
from coursebell.domain.model import Actor
from coursebell.services.registrar import Registrar
from coursebell.settings import Settings
from coursebell.storage import migrations


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The global options as given; None where one was not."""

    database_url: str | None
    organization: str | None

    def settings(self) -> Settings:
        """Raises `ConfigurationError`."""
        return Settings.load(database_url=self.database_url)

    @contextmanager
    def registrar(self) -> Iterator[Registrar]:
        """An open installation, whatever its schema."""
        registrar = bootstrap.open_registrar(self.settings())
        try:
            yield registrar
        finally:
            registrar.database.close()

    @contextmanager
    def office(self) -> Iterator[tuple[Registrar, Actor]]:
        """An installation that is ready for use, and its operator in the organization chosen.

        Raises `SchemaVersionError`, `NotFoundError`.
        """
        from coursebell.services import organizations  # noqa: PLC0415 - servers do without

        with self.registrar() as registrar:
            migrations.check(registrar.database)
            organization = organizations.choose_organization(registrar, self.organization)
            yield registrar, organizations.operator_of(organization)


def invocation_of(context: typer.Context) -> Invocation:
    """The options that stood before the command."""
    invocation = context.obj
    assert isinstance(invocation, Invocation)  # noqa: S101 the callback has run
    return invocation


def clock() -> datetime:
    """Now. Only commands and other edges ask."""
    return datetime.now(UTC)
