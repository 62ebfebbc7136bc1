"""Run by test_guard_resolution.py inside a network and mount namespace of its own.

Gives loopback a public address, answers DNS on 127.0.0.1, sends requests to names through
libcurl's own resolution, and prints what became of each as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dnslib import AAAA, QTYPE, RCODE, RR, A, DNSError, DNSRecord
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer

from coursebell.delivery.client import Client, Request, Result
from coursebell.domain.addresses import AddressRules
from delivery.hostile import Receiver, answers_and_closes

PUBLIC = "93.184.216.34"
CLOSES = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"

# The answers to one question after another; the last one stays. None: no answer ever comes.
IPV4: dict[str, list[list[str] | None]] = {
    "public.example": [[PUBLIC]],
    "flips.example": [[PUBLIC], ["127.0.0.1"]],
    "mixed.example": [["10.0.0.7", "127.0.0.1", PUBLIC]],
    "mixed6.example": [[PUBLIC]],
    "private.example": [["10.0.0.7", "127.0.0.1"]],
    "metadata.example": [["169.254.169.254"]],
    "silent.example": [None],
}
IPV6 = {"mixed6.example": ["::1"], "metadata.example": ["::ffff:127.0.0.1"]}


class Answers(BaseResolver):
    """Answers from the tables above; NXDOMAIN for what they lack."""

    def resolve(self, request: DNSRecord, handler: DNSHandler) -> DNSRecord:
        name = str(request.q.qname).removesuffix(".")
        reply = request.reply()
        if name not in IPV4:
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.AAAA:
            self._add(reply, QTYPE.AAAA, [AAAA(text) for text in IPV6.get(name, [])])
        elif request.q.qtype == QTYPE.A:
            left = IPV4[name]
            addresses = left.pop(0) if len(left) > 1 else left[0]
            self._add(reply, QTYPE.A, [A(text) for text in addresses or []])
        return reply

    def _add(self, reply: DNSRecord, kind: int, records: list[A | AAAA]) -> None:
        for record in records:
            reply.add_answer(RR(reply.q.qname, kind, rdata=record, ttl=0))


class Handler(DNSHandler):
    """Says nothing at all about names that are silent."""

    def get_reply(self, data: bytes) -> bytes:
        name = str(DNSRecord.parse(data).q.qname).removesuffix(".")
        if IPV4.get(name) == [None]:
            raise DNSError(name)  # which the server only logs
        return super().get_reply(data)


def prepare(folder: Path) -> None:
    """Loopback up and with a public address; DNS at 127.0.0.1 and nowhere else."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "address", "add", f"{PUBLIC}/32", "dev", "lo")
    for name, text in [
        ("resolv.conf", "nameserver 127.0.0.1\n"),
        ("nsswitch.conf", "hosts: files dns\n"),
    ]:
        (folder / name).write_text(text)
        run("mount", "--bind", str(folder / name), f"/etc/{name}")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def request(url: str, timeout_seconds: float = 20, key: int = 0) -> Request:
    return Request(
        key=key,
        method="POST",
        url=url,
        headers=(),
        body=b"{}",
        timeout_seconds=timeout_seconds,
    )


def send(client: Client, *requests: Request) -> list[Result]:
    """The results in the order of the requests' keys."""
    for each in requests:
        client.start(each)
    results: list[Result] = []
    while client.in_flight:
        results += client.advance(30).results
    return sorted(results, key=lambda result: result.key)


def seen(result: Result) -> list[str | None]:
    return [result.outcome.name, result.address]


def story() -> dict[str, object]:
    """What became of each name, and how often each receiver was reached."""
    client = Client(AddressRules(), dns_cache_seconds=0)
    with (
        Receiver(answers_and_closes(CLOSES), host=PUBLIC) as public,
        Receiver(answers_and_closes(CLOSES), host="127.0.0.1", port=public.port) as trap,
    ):

        def url(name: str) -> str:
            return f"http://{name}:{public.port}/"

        def to(name: str) -> list[str | None]:
            return seen(send(client, request(url(name)))[0])

        told: dict[str, object] = {
            "flips": [to("flips.example"), to("flips.example"), to("flips.example")],
            "mixed": to("mixed.example"),
            "mixed6": to("mixed6.example"),
            "private": to("private.example"),
            "metadata": to("metadata.example"),
            "missing": to("missing.example"),
        }
        silent = request(url("silent.example"), timeout_seconds=0.5, key=1)
        beside = [request(url("public.example"), key=key) for key in (2, 3, 4)]
        told["silent"] = [seen(result) for result in send(client, silent, *beside)]
        client.close()
        told["connections"] = {"public": public.connections, "trap": trap.connections}
    return told


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        quiet = DNSLogger(logf=lambda text: None)
        server = DNSServer(Answers(), address="127.0.0.1", handler=Handler, logger=quiet)
        server.start_thread()
        print(json.dumps(story()), flush=True)


if __name__ == "__main__":
    main()
