"""The short form of `make soak`: everything once, and what was promised is still true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from faults.inflictions import POSTGRES, PROCESSES, SQLITE, Infliction
from faults.rounds import connected_receivers, play
from faults.scenes import Scene

# `serve` alone, killed or told to stop, is the matter of tests/acceptance/test_serve.py
_STARTS = ("SIGTERM and start", "kill -9 of serve alone")
KILLS = [e for e in PROCESSES if e.name.startswith("kill") and e.name not in _STARTS]
SQUEEZES = [e for e in PROCESSES if e not in KILLS and e.name not in _STARTS]


@pytest.fixture(autouse=True)
def receivers(scene: Scene) -> Iterator[None]:
    with connected_receivers(scene):
        yield


def inflict(scene: Scene, inflictions: Sequence[Infliction], rng) -> Counter[str]:
    """What clients went through. Those that kill a dispatcher have a round of their own: in the
    other one, there are exactly as many requests as attempts."""
    felt: Counter[str] = Counter()
    for kills in (False, True):
        wanted = [each for each in inflictions if bool(each.kills) is kills]
        if wanted:
            played = play(scene, wanted, rng, rate=15, calm=lambda: 0.3)
            print(played)
            assert played.findings.problems == []
            assert played.findings.registrations > 0
            felt.update(busy=played.busy, unanswered=played.unanswered)
    assert "Traceback" not in scene.installation.log
    return felt


@pytest.mark.timeout(600)
def test_whatever_is_killed(scene, rng):
    felt = inflict(scene, rng.sample(KILLS, len(KILLS)), rng)

    assert felt["unanswered"] > 0
    assert scene.server.children().keys() == {"api", "dispatch"}


@pytest.mark.timeout(300)
def test_whatever_happens_to_the_database(scene, rng):
    felt = inflict(scene, SQLITE if scene.disk else POSTGRES, rng)

    assert felt["busy"] > 0  # the callers were told to come again, and did


@pytest.mark.timeout(300)
def test_when_processes_are_suspended_or_run_out_of_descriptors_or_are_flooded(scene, rng):
    felt = inflict(scene, SQUEEZES, rng)

    assert felt["busy"] > 0
