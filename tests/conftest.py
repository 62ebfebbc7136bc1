"""What tests may ask for: a database of their own on each engine, a port, the npm verifier."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from coursebell.storage.database import Database
from coursebell.storage.migrations import upgrade
from needs import IN_CI, require

POSTGRES = os.environ.get(
    "COURSEBELL_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres"
)
SECRET_KEY = "a-key-that-only-tests-use"
NODE = Path(__file__).parent / "node"

hypothesis.settings.register_profile("laptop", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "laptop")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated, empty database that is this test's own; once for each engine."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated, empty database; the test runs once for each engine."""
    database = Database(database_url, secret_keys=[SECRET_KEY])
    yield database
    database.close()


@pytest.fixture(scope="session")
def secret_key() -> str:
    """The key that `database` seals with, for processes that open the same database."""
    return SECRET_KEY


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated, empty SQLite file of the test's own."""
    path = tmp_path / "coursebell.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres_worker_url: str) -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database that no other test uses meanwhile."""
    yield postgres_worker_url
    empty(postgres_worker_url)


@pytest.fixture(params=["sqlite", "postgres"])
def blank_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database without any table; once for each engine."""
    return request.getfixturevalue(f"blank_{request.param}_url")


@pytest.fixture
def blank_sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'blank.db'}"


@pytest.fixture
def blank_postgres_url(postgres_server: str, worker_name: str) -> Iterator[str]:
    yield create_database(postgres_server, f"{worker_name}_blank")
    drop_database(postgres_server, f"{worker_name}_blank")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, made once; copying it is quicker than migrating."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    migrate(f"sqlite:///{path}")
    with_log = [name for name in path.parent.iterdir() if name.name.endswith("-wal")]
    assert not with_log, "the template's log was not folded into the file"
    return path


@pytest.fixture(scope="session")
def worker_name(testrun_uid: str, worker_id: str) -> str:
    """A database name that neither another worker nor another run of the tests uses."""
    return f"coursebell_test_{testrun_uid[:12]}_{worker_id}"


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a PostgreSQL server on which databases may be made."""
    try:
        psycopg.connect(POSTGRES, connect_timeout=5).close()
    except psycopg.OperationalError:
        require(f"a PostgreSQL server at {POSTGRES} (COURSEBELL_TEST_POSTGRES)", present=False)
    return POSTGRES


@pytest.fixture(scope="session")
def postgres_worker_url(postgres_server: str, worker_name: str) -> Iterator[str]:
    """One migrated PostgreSQL database for each process that runs tests."""
    url = create_database(postgres_server, worker_name)
    migrate(url)
    yield url
    drop_database(postgres_server, worker_name)


def migrate(url: str) -> None:
    database = Database(url)
    upgrade(database)
    database.close()


def create_database(server: str, name: str) -> str:
    """Make an empty database anew and return its URL."""
    drop_database(server, name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    there = conninfo_to_dict(server)
    user = f"{there['user']}@" if "user" in there else ""
    return f"postgresql://{user}{there['host']}:{there.get('port', 5432)}/{name}"


def drop_database(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(statement.format(sql.Identifier(name)))


def empty(url: str) -> None:
    """Empty every table and start every key from 1 again.

    Several times quicker than TRUNCATE on tables of a few rows (15 ms, not 115). The lock
    makes a test that left a transaction open fail here, instead of leaking rows into the next.
    """
    with psycopg.connect(url, options="-c lock_timeout=10s") as connection:
        found = connection.execute(
            "SELECT tablename FROM pg_tables"
            " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        ).fetchall()
        tables = [sql.Identifier(name) for (name,) in found]
        connection.execute(sql.SQL("LOCK TABLE {}").format(sql.SQL(", ").join(tables)))
        connection.execute("SET session_replication_role = replica")  # foreign keys can wait
        for table in tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(table))
        connection.execute(
            "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
            " FROM pg_sequences WHERE schemaname = 'public'"
        )


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def node_packages() -> Path:
    """The installed packages of tests/node, for programs that stand elsewhere."""
    install_node_packages()
    return NODE / "node_modules"


@pytest.fixture(scope="session")
def node_standardwebhooks() -> Callable[[str, Mapping[str, str], bytes], Any]:
    """`verify(secret, headers, body)` by the npm package: the payload, or ValueError if refused."""
    install_node_packages()

    def verify(secret: str, headers: Mapping[str, str], body: bytes) -> Any:
        delivery = {"secret": secret, "headers": dict(headers), "body": body.decode()}
        done = subprocess.run(
            ["node", "verify.js"],
            cwd=NODE,
            input=json.dumps(delivery),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ValueError(done.stderr)
        return json.loads(done.stdout)

    return verify


def install_node_packages() -> None:
    """Install what tests/node/package-lock.json pins, once, whichever test process comes first."""
    require("node and npm on PATH", shutil.which("node") and shutil.which("npm"))
    lock = NODE / "package-lock.json"
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        installed = NODE / "node_modules" / ".package-lock.json"
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return
        done = subprocess.run(["npm", "ci"], cwd=NODE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
