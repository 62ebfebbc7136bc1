"""The short form of `make soak`: everything once, and what was promised is still true."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from faults.inflictions import POSTGRES, PROCESSES, SQLITE, Infliction
from faults.rounds import Round, connected_receivers, play
from faults.scenes import Scene

KILLS = [each for each in PROCESSES if each.name.startswith(("kill", "SIGTERM"))]
SQUEEZES = [each for each in PROCESSES if each not in KILLS]


@pytest.fixture(autouse=True)
def receivers(scene: Scene) -> Iterator[None]:
    with connected_receivers(scene):
        yield


def inflict(scene: Scene, inflictions: Sequence[Infliction], rng) -> Round:
    played = play(scene, inflictions, rng, rate=15, calm=lambda: 0.3)
    print(played)
    assert played.findings.problems == []
    assert played.findings.registrations > 20
    assert "Traceback" not in scene.installation.log
    return played


@pytest.mark.timeout(600)
def test_whatever_is_killed(scene, rng):
    rng.shuffle(KILLS)

    played = inflict(scene, KILLS, rng)

    assert played.unanswered > 0
    assert scene.server.children().keys() == {"api", "dispatch"}


@pytest.mark.timeout(300)
def test_whatever_happens_to_the_database(scene, rng):
    played = inflict(scene, SQLITE if scene.disk else POSTGRES, rng)

    assert played.busy > 0  # the callers were told to come again, and did


@pytest.mark.timeout(300)
def test_when_processes_are_suspended_or_run_out_of_descriptors_or_are_flooded(scene, rng):
    played = inflict(scene, SQUEEZES, rng)

    assert played.busy > 0
