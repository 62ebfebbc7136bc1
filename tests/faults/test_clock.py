"""The clock is set by an hour, forward and back, while retries wait: they come all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from acceptance.installations import wait_until
from faults import clocks
from faults.clocks import Clock
from faults.clusters import Cluster
from faults.disks import Disk
from faults.ledgers import Ledger, Treatment, accepting
from faults.scenes import Scene
from needs import require

HOUR = 3600
WAIT = 4  # seconds until a retry; a step comes within them
PATIENCE = 90.0  # seconds; far less than the hour that a retry would be late


@pytest.fixture
def clock(tmp_path) -> Clock:
    require("libfaketime (Debian: faketime)", clocks.library())
    return Clock(tmp_path)


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request, clock: Clock, tmp_path) -> Iterator[Scene]:
    """Processes that go by `clock`."""
    seat: Disk | Cluster = request.getfixturevalue(
        "disk" if request.param == "sqlite" else "cluster"
    )
    scene = Scene(
        disk=seat if isinstance(seat, Disk) else None,
        cluster=seat if isinstance(seat, Cluster) else None,
        name=f"clock_{request.param}",
        directory=tmp_path,
        settings=clock.settings,
    )
    yield scene
    scene.close()


def refusing(_: object) -> Treatment:
    return Treatment(503, accepted=False)


def steps_told(scene: Scene) -> int:
    return scene.installation.log.count('"clock.stepped"')


@pytest.mark.timeout(400)
def test_retries_come_whatever_the_clock_says(scene: Scene, clock: Clock):
    ledger = Ledger(refusing)
    with scene.connected(ledger, retrySchedule=[WAIT] * 30, timeoutSeconds=20):
        for told, step in enumerate((HOUR, 0), start=1):  # forward, and back
            ledger.treat = refusing
            with scene.tellers(number=2, rate=5) as tellers:
                wait_until(lambda: len(ledger) > 4, "retries wait")
                clock.step(step)
                wait_until(lambda told=told: steps_told(scene) == told, "the step is seen")
            ledger.treat = accepting
            scene.settle(PATIENCE)
            found = scene.audit(tellers)

            assert found.problems == [], step
            assert found.attempts > found.deliveries
            assert found.repeated == 0
    assert steps_told(scene) == 2
    assert "Traceback" not in scene.installation.log
