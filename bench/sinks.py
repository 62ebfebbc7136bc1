"""The receiver of what is sent, in a process of its own on the other core."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.certificates import issue
from bench.machine import OTHER_CORE
from bench.processes import Child, child

LOOPBACK = "127.0.0.1"


class Receiver:
    """Answers 204 at each of its `urls`, which differ in their port: hosts of their own."""

    def __init__(self, process: Child, urls: list[str]) -> None:
        self._process = process
        self.urls = urls

    def told(self) -> Any:
        """What it has seen so far: `received` and `connected` are numbers, `cpu` is seconds."""
        return self._process.ask("how much")

    @property
    def received(self) -> int:
        number: int = self.told()["received"]
        return number


@contextmanager
def receiver(hosts: int = 1, *, stamp: bool = False, delay: float = 0.0) -> Iterator[Receiver]:
    """One that notes when each request came (`stamp`) and waits `delay` seconds to answer."""
    given = {"addresses": [LOOPBACK] * hosts, "stamp": stamp, "delay": delay}
    with child("sink", OTHER_CORE, given) as process:
        yield Receiver(process, [f"http://{LOOPBACK}:{port}/" for port in process.first])


@contextmanager
def secure_receiver(hosts: int) -> Iterator[tuple[Receiver, Path]]:
    """One over TLS, each host at a loopback address of its own; and the authority to trust."""
    addresses = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(hosts)]
    with tempfile.TemporaryDirectory(prefix="coursebell-bench-") as folder:
        authority, certificate = issue(Path(folder), addresses)
        given = {"addresses": addresses, "certificate": str(certificate)}
        with child("tls_sink", OTHER_CORE, given) as process:
            there = zip(addresses, process.first, strict=True)
            yield Receiver(process, [f"https://{host}:{port}/" for host, port in there]), authority
