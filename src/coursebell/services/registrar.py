"""What every use case works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from coursebell.domain.addresses import AddressRules
from coursebell.domain.model import Source
from coursebell.storage.database import Database


def _not_counted(_source: Source, _passed: bool) -> None:  # noqa: FBT001 - a callback's shape
    """Where nobody keeps metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """A Coursebell installation, as its use cases see it."""

    database: Database
    public_url: str | None = None  # where receivers find the REST API
    address_rules: AddressRules = field(default_factory=AddressRules)
    upload_directory: Path = Path("coursebell.uploads")  # where files wait to be imported
    count_completion: Callable[[Source, bool], None] = _not_counted  # told source and passed
