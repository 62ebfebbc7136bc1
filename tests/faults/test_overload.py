"""More than a server can take: it says so, keeps what it took on, and recovers by itself."""

from __future__ import annotations

import os
import re
import time

import pytest

from faults.floods import Flood
from faults.rounds import connected_receivers, forget_peak, peak
from faults.scenes import Scene

SECONDS = 600 if os.environ.get("COURSEBELL_TEST_LONG") else 20
LARGEST_GROWTH = 60  # MB; a request at hand takes some tens of KB


@pytest.mark.timeout(SECONDS + 240)
def test_a_flood_is_refused_and_what_was_accepted_is_not_lost(scene: Scene):
    api = scene.server.children()["api"]
    flood = Flood(scene)
    refused = _refused(scene)
    for pid in api:
        forget_peak(pid)
    before = [peak(pid) for pid in api]

    with connected_receivers(scene):
        with scene.tellers(number=4, rate=8) as tellers:
            flood.run(SECONDS)
            grown = max(peak(pid) - least for pid, least in zip(api, before, strict=True))
            start = time.monotonic()
            assert scene.server.is_ready()
            recovered = time.monotonic() - start
        scene.settle()
        found = scene.audit(tellers)

    print(f"{dict(flood.answers)}, slowest {flood.slowest:.2f} s, {grown} MB, {recovered:.3f} s")
    assert flood.answers.keys() == {200, 201, 503}
    assert flood.hinted == flood.answers[503] > 0
    assert grown < LARGEST_GROWTH
    assert _refused(scene) - refused >= flood.answers[503]
    assert '"web.overloaded"' in scene.installation.log
    assert found.problems == []
    assert found.registrations > 0
    with scene.client() as admin:
        users = [each["email"] for each in admin.list("users", lastName=flood.name)]
    assert sorted(users) == sorted(flood.made)  # what was accepted once, what was refused never


def _refused(scene: Scene) -> float:
    text = scene.server.look_at("/metrics")[1]
    found = re.search(r"^coursebell_http_requests_refused_total (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
