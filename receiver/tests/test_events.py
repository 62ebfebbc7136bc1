"""The shapes of the events: frozen, and every one of the contract has a class of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from coursebell_receiver import Event, User
from coursebell_receiver.events import UnknownEvent
from coursebell_receiver.parsing import EVENT_NAMES

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "receive-events.md"


def test_events_and_their_parts_cannot_be_changed() -> None:
    user = User(id="u1")

    with pytest.raises(dataclasses.FrozenInstanceError):
        user.email = "someone@example.com"  # type: ignore[misc]


def test_every_name_has_a_class_of_the_same_name() -> None:
    classes = {kind.__name__ for kind in Event.__subclasses__()} - {UnknownEvent.__name__}

    assert classes == {name.title().replace("_", "") for name in EVENT_NAMES}


def test_every_event_is_documented_with_its_name() -> None:
    for kind in Event.__subclasses__():
        first_line = (kind.__doc__ or "").partition("\n")[0]
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("_")
        assert kind is UnknownEvent or first_line.startswith(f"`{snake}`: ")


def test_the_guide_names_every_event_and_its_class() -> None:
    guide = GUIDE.read_text()

    for name in EVENT_NAMES:
        assert f"`{name}`" in guide
    for kind in Event.__subclasses__():
        assert f"`{kind.__name__}`" in guide
