"""A scene for the short form of the faults, on each database."""

from __future__ import annotations

import random
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from delivery.hostile import self_signed
from faults import clusters, disks
from faults.clusters import Cluster
from faults.disks import Disk
from faults.scenes import MAX_REQUESTS, TWO_OF_EACH, Scene
from needs import require


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """TLS contexts of receivers on 127.0.0.1."""

    trusted: ssl.SSLContext
    expired: ssl.SSLContext  # trusted otherwise
    of_another: ssl.SSLContext  # trusted too, but of another name
    unknown: ssl.SSLContext
    bundle: Path  # what senders trust


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    def make(name: str, **options: float) -> tuple[ssl.SSLContext, str]:
        return self_signed(tmp_path_factory.mktemp("certificate"), name, **options)

    trusted, good = make("127.0.0.1")
    expired, past = make("127.0.0.1", days_left=-1)
    of_another, elsewhere = make("other.example")
    unknown, _ = make("127.0.0.1")
    bundle = tmp_path_factory.mktemp("bundle") / "bundle.pem"
    bundle.write_text("".join(Path(each).read_text() for each in (good, past, elsewhere)))
    return Certificates(
        trusted=trusted, expired=expired, of_another=of_another, unknown=unknown, bundle=bundle
    )


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def scene(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scene]:
    """A running server that tests may hurt, if they leave it whole; for all of a worker's tests."""
    seat = request.getfixturevalue("disk" if request.param == "sqlite" else "cluster")
    scene = Scene(
        disk=seat if request.param == "sqlite" else None,
        cluster=None if request.param == "sqlite" else seat,
        directory=tmp_path_factory.mktemp("scene"),
        settings={
            "COURSEBELL_MAX_REQUESTS": str(MAX_REQUESTS),
            "COURSEBELL_CA_FILE": str(certificates.bundle),
        },
        options=() if request.param == "sqlite" else TWO_OF_EACH,
    )
    yield scene
    scene.close()
