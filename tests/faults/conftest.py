"""A scene for the short form of the faults, on each database."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from faults import clusters, disks
from faults.clusters import Cluster
from faults.disks import Disk
from faults.scenes import Scene
from needs import require

MAX_REQUESTS = 64  # so that a flood need not be large


@pytest.fixture
def rng() -> random.Random:
    return random.Random(20261124)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server of the kit's own."""
    require("PostgreSQL's initdb and pg_ctl, and the user postgres", clusters.binaries())
    cluster = Cluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def disk() -> Iterator[Disk]:
    """A file system of the kit's own."""
    require("root, unshare, nsenter and mount", disks.can_mount())
    disk = Disk()
    yield disk
    disk.close()


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """A running server that tests may hurt, if they leave it whole; for all of a worker's tests."""
    seat = request.getfixturevalue("disk" if request.param == "sqlite" else "cluster")
    scene = Scene(
        disk=seat if request.param == "sqlite" else None,
        cluster=None if request.param == "sqlite" else seat,
        settings={"COURSEBELL_MAX_REQUESTS": str(MAX_REQUESTS)},
    )
    yield scene
    scene.close()
