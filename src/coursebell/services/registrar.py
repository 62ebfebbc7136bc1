"""What every use case works with."""

from __future__ import annotations

from dataclasses import dataclass, field

from coursebell.domain.addresses import AddressRules
from coursebell.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """A Coursebell installation, as its use cases see it."""

    database: Database
    public_url: str | None = None  # where receivers find the REST API
    address_rules: AddressRules = field(default_factory=AddressRules)
