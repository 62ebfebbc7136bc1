"""Names that lie, stay silent or are not there, through the whole product on both databases.

A script runs in a network namespace of its own, with a name server of its own: see names.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from delivery.namespace import PUBLIC
from delivery.test_guard_resolution import can_unshare, unshared
from needs import require

DELIVERED = [["delivered", PUBLIC]] * 2
EXPECTED = {
    "public": DELIVERED,
    "mixed": DELIVERED,  # the first that is permitted
    "mixed6": DELIVERED,
    "unreachable6": DELIVERED,  # IPv6 comes first, and leads nowhere
    "missing": [["dns", None]] * 2,
    "silent": [["timeout", None]] * 2,
    "flips": [["delivered", PUBLIC], ["blocked_address", "127.0.0.1"]],
}
KINDS = ("sqlite", "postgres")


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    require("unshare, ip and the right to make a network namespace", can_unshare())
    cluster = request.getfixturevalue("cluster")
    cluster.create("names")
    script = Path(__file__).with_name("names.py")
    databases = [
        f"sqlite=sqlite:///{tmp_path_factory.mktemp('names') / 'bell.db'}",
        f"postgres={cluster.without_network('names')}",
    ]
    done = subprocess.run(
        unshared(sys.executable, str(script), *databases),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", KINDS)
def test_each_name_leads_where_it_may_or_has_its_reason_in_the_log(story, kind):
    assert {name: story[kind][name] for name in EXPECTED} == EXPECTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["private", "metadata"])
def test_a_name_with_private_addresses_only_is_blocked(story, kind, name):
    assert [outcome for outcome, _ in story[kind][name]] == ["blocked_address"] * 2


def test_what_is_logged_as_delivered_came_and_nothing_else_did(story):
    delivered = [
        attempt
        for kind in KINDS
        for attempts in story[kind].values()
        for attempt in attempts
        if attempt[0] == "delivered"
    ]

    assert story["requests"] == {"public": len(delivered), "trap": 0}
