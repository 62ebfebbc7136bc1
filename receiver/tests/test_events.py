"""The shapes of the events: frozen, and every one of the contract has a class of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import coursebell_receiver
from coursebell_receiver import DeliveryKind, Event, Reason, User, events
from coursebell_receiver.parsing import EVENT_NAMES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "receive-events.md"
CLASSES = {
    name: kind
    for name, kind in vars(events).items()
    if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
}


def class_name(event_name: str) -> str:
    return event_name.title().replace("_", "")


def test_events_and_their_parts_cannot_be_changed() -> None:
    user = User(id="u1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        user.email = "someone@example.com"


def test_every_name_has_a_class_of_the_same_name_and_every_class_but_the_unknown_a_name() -> None:
    assert {class_name(name) for name in EVENT_NAMES} == CLASSES.keys() - {"UnknownEvent"}


@pytest.mark.parametrize("name", sorted(EVENT_NAMES))
def test_every_event_is_described_and_exported(name: str) -> None:
    kind = CLASSES[class_name(name)]

    assert (kind.__doc__ or "").startswith(f"`{name}`: ")
    assert getattr(coursebell_receiver, kind.__name__) is kind


@pytest.mark.parametrize("name", sorted(EVENT_NAMES))
def test_the_guide_names_every_event_and_its_class(name: str) -> None:
    guide = GUIDE.read_text(encoding="utf-8")

    assert f"| `{name}` | `{class_name(name)}` |" in guide


def test_the_guide_names_every_reason_and_every_kind_of_delivery() -> None:
    guide = GUIDE.read_text(encoding="utf-8")

    for word in (*Reason, *DeliveryKind):
        assert f"`{word.value}`" in guide
