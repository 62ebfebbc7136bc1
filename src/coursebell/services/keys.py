"""The keys in COURSEBELL_SECRET_KEY: whether they open what is stored, and changing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coursebell.errors import SealError
from coursebell.services.registrar import Registrar
from coursebell.storage import sealed
from coursebell.storage.seal import Seal
from coursebell.storage.sealed import Sealed

STEP = 200  # webhooks in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """How what is stored sealed stands to the keys."""

    webhooks: int
    unreadable: tuple[str, ...]  # ids of webhooks with something that no key opens
    outdated: tuple[str, ...]  # of those with something that is not sealed with the first key

    @property
    def first_is_enough(self) -> bool:
        """Whether every other key can be dropped."""
        return not (self.unreadable or self.outdated)


def examine_keys(registrar: Registrar) -> Keys:
    """Look at everything sealed. Raises `ConfigurationError` where there is no key at all."""
    seal = registrar.database.seal
    webhooks, unreadable, outdated = 0, [], []
    for step in _steps(registrar):
        for each in step:
            webhooks += 1
            if not all(_opens(seal, value) for value in each.values.values()):
                unreadable.append(each.webhook_id)
            elif not all(map(seal.is_current, each.values.values())):
                outdated.append(each.webhook_id)
    return Keys(webhooks=webhooks, unreadable=tuple(unreadable), outdated=tuple(outdated))


def reseal(registrar: Registrar) -> int:
    """Seal everything with the first key that is sealed with another; of how many webhooks.

    What no key opens stays as it is. Can be broken off and repeated; dispatchers may run.
    """
    seal, changed, after = registrar.database.seal, 0, 0
    while True:
        with registrar.database.transaction() as tx:
            step = sealed.list_sealed(tx, after=after, limit=STEP, for_update=True)
            for each in step:
                renewed = _renewed(seal, each)
                if renewed:
                    sealed.replace_sealed(tx, each.key, renewed)
                    changed += 1
        if not step:
            return changed
        after = step[-1].key


def _steps(registrar: Registrar) -> Iterator[list[Sealed]]:
    after = 0
    while True:
        with registrar.database.snapshot() as tx:
            step = list(sealed.list_sealed(tx, after=after, limit=STEP))
        if not step:
            return
        yield step
        after = step[-1].key


def _renewed(seal: Seal, each: Sealed) -> dict[str, bytes]:
    return {
        name: seal.seal(seal.open(value))
        for name, value in each.values.items()
        if not seal.is_current(value) and _opens(seal, value)
    }


def _opens(seal: Seal, value: bytes) -> bool:
    try:
        seal.open(value)
    except SealError:
        return False
    return True
