"""Names that lie, stay silent or are not there, through the whole product on both databases.

A script runs in a network namespace of its own, with a name server of its own: see names.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from delivery.namespace import PUBLIC
from delivery.test_guard_resolution import can_unshare, unshared
from faults.clusters import Cluster
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


@pytest.mark.timeout(240)
def test_each_name_leads_where_it_may_or_has_its_reason_in_the_log(cluster, tmp_path):
    require("unshare, ip and the right to make a network namespace", can_unshare())

    story = _tell(cluster, tmp_path)

    for kind in KINDS:
        private = [
            outcome for name in ("private", "metadata") for outcome, _ in story[kind].pop(name)
        ]
        assert private == ["blocked_address"] * 4
        assert story[kind] == EXPECTED
    told = [attempt for kind in KINDS for each in story[kind].values() for attempt in each]
    delivered = [outcome for outcome, _ in told].count("delivered")
    assert story["requests"] == {"public": delivered, "trap": 0}


def _tell(cluster: Cluster, directory: Path) -> dict[str, Any]:
    """What became of the deliveries to every name: outcome and address of each attempt."""
    cluster.create("names")
    script = Path(__file__).with_name("names.py")
    databases = [
        f"sqlite=sqlite:///{directory / 'bell.db'}",
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
    story: dict[str, Any] = json.loads(done.stdout)
    return story
