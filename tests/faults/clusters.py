"""A PostgreSQL server of the kit's own, to be stopped, killed and cut off."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg

ROOT = Path("/usr/lib/postgresql")
_STARTS = 40  # tries to start after a kill, until the last process of the dead server has gone


def binaries() -> Path | None:
    """Where the newest installed PostgreSQL keeps `initdb` and `pg_ctl`; None without any."""
    found = sorted(ROOT.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found and _runs_as_postgres() is not None else None


class Cluster:
    """A running server on a free port. Durable, as usual."""

    def __init__(self) -> None:
        found, prefix = binaries(), _runs_as_postgres()
        assert found is not None
        assert prefix is not None
        self._binaries, self._prefix = found, prefix
        self.directory = Path(tempfile.mkdtemp(prefix="coursebell-cluster-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        self._data = self.directory / "data"
        self._port = _free_port()
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", str(self._data))
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write(
                f"listen_addresses = '127.0.0.1'\nport = {self._port}\n"
                f"unix_socket_directories = '{self.directory}'\nmax_connections = 60\n"
            )
        self.start()

    def create(self, name: str) -> str:
        """The URL of a new empty database, over TCP."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://postgres@127.0.0.1:{self._port}/{name}"

    def without_network(self, name: str) -> str:
        """The URL of a database, for where there is no network."""
        return f"postgresql://postgres@/{name}?host={self.directory}&port={self._port}"

    @property
    def server_url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Return when it answers. What a killed server left has to go first."""
        for _ in range(_STARTS):
            try:
                self._control("start", "-l", str(self.directory / "postgres.log"))
            except subprocess.CalledProcessError:
                time.sleep(0.25)
            else:
                return
        raise AssertionError((self.directory / "postgres.log").read_text()[-2000:])

    def stop(self, mode: str = "fast") -> None:
        """`fast` ends sessions in order; `immediate` leaves the log to be replayed."""
        self._control("stop", "-m", mode)

    def kill(self) -> None:
        """`kill -9` of the postmaster, whose children then end by themselves."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def cut(self) -> int:
        """End all connections of the product; how many there were."""
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            cut = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            ).fetchone()
        assert cut is not None
        return int(cut[0])

    def dump(self, url: str) -> bytes:
        """All of a database as text, by pg_dump."""
        command = [str(self._binaries / "pg_dump"), "--inserts", url]
        return subprocess.run(command, capture_output=True, check=True).stdout

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop("immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-s", "-w", "-t", "60", "-D", str(self._data), *arguments)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(
            [*self._prefix, str(self._binaries / name), *arguments],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )


def _runs_as_postgres() -> tuple[str, ...] | None:
    """The command that runs another one as somebody whom PostgreSQL accepts, which is not root."""
    if os.geteuid() != 0:
        return ()
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        return None
    if shutil.which("setpriv") is None:
        return None
    return ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
