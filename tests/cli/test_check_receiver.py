"""`coursebell check-receiver`: the documented receivers pass, and each bad habit is caught."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from wsgiref.simple_server import make_server

import pytest

from coursebell.cli.app import run
from coursebell.delivery.client import Client
from coursebell.domain.events import EventName
from coursebell.domain.retry import Outcome
from coursebell_receiver import InMemoryDeduplicator, VerificationError, receive, verify
from coursebell_receiver.signature import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
LOOPBACK = ("--allow", "127.0.0.0/8")
EVENTS = [name.value for name in EventName]
GENUINE = ["valid", "duplicate", "out_of_order", "slow_repeat", "several_signatures"]
STRANGE = ["unknown_version", "unknown_event", "unknown_field", "large_body", "non_ascii_text"]
FORGED = [
    "old_timestamp",
    "future_timestamp",
    "wrong_signature",
    "missing_signature",
    "tampered_body",
    "unknown_version_alone",
]


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)


@pytest.fixture
def check(capsys):
    """The exit code of an examination, and what it found by the name of the check."""

    def check(url: str, *more: str) -> tuple[int, dict[str, dict]]:
        code = run(["check-receiver", url, "--secret", SECRET, *LOOPBACK, "--json", *more])
        _, bracket, array = capsys.readouterr().out.partition("[\n")  # examples print before it
        return code, {each["check"]: each for each in json.loads(bracket + array)}

    return check


def wrong(findings: dict[str, dict]) -> list[str]:
    return [name for name, finding in findings.items() if not finding["right"]]


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


BREAK_OFF = 0  # in place of a status

Handle = Callable[[dict[str, str], bytes], int]


@contextmanager
def receiver(handle: Handle) -> Iterator[str]:
    """A receiver that answers what `handle` says; one that raises answers 500."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                status = handle({k.lower(): v for k, v in self.headers.items()}, body)
            except Exception:
                status = 500
            if status == BREAK_OFF:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            self.send_header("location", "/elsewhere")
            self.end_headers()

        do_PUT = do_POST  # noqa: N815

        def log_message(self, *_):
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


def good(headers: dict[str, str], body: bytes) -> int:
    return receive(headers, body, SECRET, lambda event: None)


# The documented receivers.


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def knows_secret(monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_receiver_of_http_server_passes(knows_secret, check, method):
    server = ThreadingHTTPServer(("127.0.0.1", 0), load("receiver_http_server").Receiver)

    with serving(server) as url:
        code, findings = check(url, "--method", method, "--live")

    assert (code, wrong(findings)) == (0, [])
    assert list(findings) == ALL


def test_the_wsgi_receiver_passes(knows_secret, check):
    with serving(make_server("127.0.0.1", 0, load("receiver_wsgi").app)) as url:
        assert check(url)[0] == 0


@pytest.mark.parametrize("source", ["receiver_eight_lines", "receiver_asgi"])
def test_the_receivers_that_are_programs_pass(check, free_port, source):
    text = (EXAMPLES / f"{source}.py").read_text().replace("9000", str(free_port))
    if source == "receiver_asgi":
        text += f"\nimport uvicorn; uvicorn.run(app, port={free_port}, log_level='error')\n"
    environment = {**os.environ, "WEBHOOK_SECRET": SECRET}
    with subprocess.Popen(
        [sys.executable, "-c", text],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            deadline = time.monotonic() + 30
            code, findings = check(f"http://127.0.0.1:{free_port}/")
            while findings["valid"]["answers"][0]["outcome"] == "connect":
                assert time.monotonic() < deadline, "the receiver does not listen"
                time.sleep(0.05)
                code, findings = check(f"http://127.0.0.1:{free_port}/")
        finally:
            process.terminate()

    assert (code, wrong(findings)) == (0, [])


# Bad habits, and what each must be caught by.


def trusting(headers, body):
    return 204


def timeless(headers, body):
    return receive(headers, body, SECRET, len_of, now=int(headers["webhook-timestamp"]))


def len_of(event):
    return event.id


def crashes_without_signature(headers, body):
    headers["webhook-signature"].split()
    return good(headers, body)


def refuses_with_500(headers, body):
    verify(headers, body, SECRET)
    return 204


def takes_one_signature(headers, body):
    at = int(headers["webhook-timestamp"])
    ours = sign(SECRET, headers["webhook-id"], at, body)
    return good(headers, body) if headers.get("webhook-signature", ours) == ours else 400


def looks_at_the_first_signature(headers, body):
    first = headers.get("webhook-signature", "").split(" ")[0]
    return good(headers | {"webhook-signature": first}, body)


def ignores_the_version(headers, body):
    """Takes the part after the comma for a signature, whatever the version says."""
    signatures = headers.get("webhook-signature", "")
    return good(headers | {"webhook-signature": signatures.replace("v2,", "v1,")}, body)


def verifies_what_it_parsed(headers, body):
    written = json.dumps(json.loads(body), separators=(",", ":")).encode()
    return good(headers, written)


def does_not_cover_the_body(headers, body):
    """Remembers bodies by nothing; checks that there is a signature of the right form."""
    try:
        verify(headers, body, SECRET)
    except VerificationError as exc:
        if exc.reason == "no_matching_signature" and headers["webhook-signature"].startswith("v1,"):
            return 204
        return 400
    return 204


def knows_its_events_only(headers, body):
    status = good(headers, body)
    known = json.loads(body)["event"] in ("offering_completed", "registration_grade_changed")
    return status if known or status == 400 else 422


def knows_its_fields_only(headers, body):
    strange = json.loads(body).keys() - {
        "event",
        "date",
        "source",
        "user",
        "registration",
        "offering",
    }
    return 422 if strange and good(headers, body) == 204 else good(headers, body)


def takes_small_bodies(headers, body):
    return 413 if len(body) > 16_384 else good(headers, body)


def redirects_in_the_end():
    """Takes what comes first."""
    number = count(1)

    def handle(headers, body):
        status = good(headers, body)
        return 302 if next(number) > 1 and status == 204 else status

    return handle


def is_gone_for_strangers(headers, body):
    return 410 if good(headers, body) == 400 else 204


def answers_late(headers, body):
    time.sleep(0.4)
    return good(headers, body)


def breaks_off_at_forgeries(headers, body):
    """Is heard of no more, as one that crashed is."""
    status = good(headers, body)
    return BREAK_OFF if status == 400 else status


def unlike_duplicates():
    seen = set()

    def handle(headers, body):
        status = good(headers, body)
        if status == 204 and headers["webhook-id"] in seen:
            return 409
        seen.add(headers["webhook-id"])
        return status

    return handle


def unlike_disorder():
    newest = {}

    def handle(headers, body):
        status, subject = good(headers, body), headers.get("ce-subject")
        number = int(headers.get("ce-registrationseq", "0"))
        if status == 204 and number and number < newest.get(subject, 0):
            return 400
        newest[subject] = number
        return status

    return handle


SLOW_REPEAT = (5, 6)  # which requests of an examination these are


def unlike_company():
    """Two at the same moment are too many: one is refused for good."""
    number, both = count(1), threading.Barrier(2)

    def handle(headers, body):
        if next(number) in SLOW_REPEAT:
            return 400 if both.wait(30) else 204
        return good(headers, body)

    return handle


ALL = [*GENUINE[:4], *FORGED, *GENUINE[4:], *STRANGE, *EVENTS]
ACCEPTED = [name for name in ALL if name not in FORGED]


@pytest.mark.parametrize(
    ("handle", "caught"),
    [
        (trusting, FORGED),
        (timeless, ["old_timestamp", "future_timestamp"]),
        (crashes_without_signature, ["missing_signature"]),
        (refuses_with_500, FORGED),
        (takes_one_signature, ["several_signatures", "unknown_version"]),
        (looks_at_the_first_signature, ["several_signatures", "unknown_version"]),
        (ignores_the_version, ["unknown_version_alone"]),
        (verifies_what_it_parsed, ["non_ascii_text"]),
        (does_not_cover_the_body, ["wrong_signature", "tampered_body"]),
        (
            knows_its_events_only,
            [
                "unknown_event",
                *(
                    e
                    for e in EVENTS
                    if e not in ("offering_completed", "registration_grade_changed")
                ),
            ],
        ),
        (takes_small_bodies, ["large_body"]),
        (redirects_in_the_end(), ACCEPTED[1:]),
        (breaks_off_at_forgeries, FORGED),
        (is_gone_for_strangers, FORGED),
        (unlike_duplicates(), ["duplicate"]),
        (unlike_disorder(), ["out_of_order"]),
        (unlike_company(), ["slow_repeat"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", "").partition(".")[0] or "",
)
def test_each_bad_habit_is_caught(check, handle, caught):
    with receiver(handle) as url:
        code, findings = check(url)

    assert code == 1
    assert wrong(findings) == caught


def test_a_strange_field_is_among_what_is_caught(check):
    with receiver(knows_its_fields_only) as url:
        code, findings = check(url)

    assert code == 1
    assert {"unknown_field", "large_body"} <= set(wrong(findings))
    assert "valid" not in wrong(findings)


def test_a_receiver_that_answers_late_is_caught(check):
    with receiver(answers_late) as url:
        code, findings = check(url, "--timeout", "0.1")

    assert code == 1
    assert findings["valid"]["answers"][0]["outcome"] == "timeout"
    assert list(findings) == ["valid"]
    assert "answer, and work afterwards" in findings["valid"]["why"]


def test_a_receiver_that_is_late_with_some_is_caught_with_those(check):
    is_over = threading.Event()

    def handle(headers, body):
        if len(body) > 16_384:
            is_over.wait(30)
        return good(headers, body)

    with receiver(handle) as url:
        code, findings = check(url, "--timeout", "2")
        is_over.set()

    assert code == 1
    assert wrong(findings) == ["large_body"]
    assert findings["large_body"]["answers"][0]["outcome"] == "timeout"
    assert list(findings) == ALL


# Who does not take a genuine delivery gets one diagnosis, and is sent nothing more.


def test_a_receiver_with_another_secret_is_told_apart(capsys):
    seen = []

    def handle(headers, body):
        seen.append(headers)
        return receive(headers, body, OTHER, len_of)

    with receiver(handle) as url:
        code = run(["check-receiver", url, "--secret", SECRET, *LOOPBACK])

    out, err = capsys.readouterr()
    assert code == 1
    assert len(seen) == 1
    assert out.splitlines()[1].startswith("wrong  valid ")
    assert out.split("\n\n")[1:] == [
        f"valid: {REFUSED}",
        "Nothing was sent after that: it would have shown nothing more.\n",
    ]
    assert err == "0 of 1 are right.\n"


REFUSED = (
    "It refuses a genuine delivery. Does it have this secret, and does it verify the raw body, not "
    "one that was parsed and written again? Or does a gateway, or protection against CSRF, want a "
    "header? --header NAME:VALUE."
)
DIAGNOSES = {
    "Does it have this secret, and does it verify the raw body": [400, 401, 403],
    "redirects are not followed. Give the address that it leads to": [301, 302, 307, 308],
    "Give the path where it takes deliveries.": [404],
    "It does not take this method at this path.": [405],
    "that would disable the webhook at once": [410],
    "not as one refuses a signature": [409, 413, 415, 422],
    "called too often": [429],
    "An error of its own, in the receiver. See its log.": [500, 501, 507],
    "Is the receiver behind it running": [502, 504],
    "Is it overloaded, or still starting? Try again later.": [503],
    "What came back is no whole answer of HTTP.": [BREAK_OFF],
}


@pytest.mark.parametrize(
    ("status", "fits"), [(status, text) for text, each in DIAGNOSES.items() for status in each]
)
def test_who_takes_nothing_gets_the_one_diagnosis_that_fits(check, status, fits):
    seen = []

    def handle(headers, body):
        seen.append(headers)
        return status

    with receiver(handle) as url:
        code, findings = check(url)

    assert code == 1
    assert (list(findings), wrong(findings)) == (["valid"], ["valid"])
    assert {each["webhook-id"] for each in seen} == {seen[0]["webhook-id"]}
    assert [text for text in DIAGNOSES if text in findings["valid"]["why"]] == [fits]


def test_a_receiver_that_goes_away_ends_it_with_what_is_to_be_looked_at(check, monkeypatch):
    advance, number = Client.advance, count(1)
    refused = {"outcome": Outcome(name="connect"), "error": "Connection refused"}

    def goes_away(client, seconds):
        progress = advance(client, seconds)
        results = [
            replace(each, **refused) if next(number) > SLOW_REPEAT[1] else each
            for each in progress.results
        ]
        return progress._replace(results=results)

    monkeypatch.setattr(Client, "advance", goes_away)
    with receiver(good) as url:
        code, findings = check(url)

    assert code == 1
    assert list(findings) == ALL[:5]
    assert wrong(findings) == ["old_timestamp"]
    assert "Is the receiver running" in findings["old_timestamp"]["why"]


def test_a_receiver_that_says_later_to_a_repetition_is_right(check):
    deduplicator, number, refused = InMemoryDeduplicator(), count(1), threading.Event()

    def handle(headers, body):
        is_one_of_two = next(number) in SLOW_REPEAT
        status = receive(
            headers,
            body,
            SECRET,
            lambda _: is_one_of_two and refused.wait(30),  # until the other one was refused
            deduplicator=deduplicator,
        )
        if status == 503:
            refused.set()
        return status

    with receiver(handle) as url:
        code, findings = check(url)

    assert code == 0
    statuses = sorted(each["statusCode"] for each in findings["slow_repeat"]["answers"])
    assert statuses == [204, 503]


# The command itself.


def test_custom_headers_are_sent_and_samples_are_marked(check):
    seen = []

    def handle(headers, body):
        seen.append(headers)
        return good(headers, body)

    with receiver(handle) as url:
        check(url, "--header", "X-Api-Key: abc", "--header", "X-Empty:")

    assert {each["x-api-key"] for each in seen} == {"abc"}
    assert {each["coursebell-delivery"] for each in seen} == {"test"}
    assert {each["content-type"] for each in seen} == {"application/json"}
    assert len({each["webhook-id"] for each in seen}) == len(seen) - 2  # the repetitions


def test_for_people_it_is_a_table_with_reasons_for_what_is_wrong(capsys):
    with receiver(takes_small_bodies) as url:
        code = run(["check-receiver", url, "--secret", SECRET, *LOOPBACK])

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert code == 1
    assert " ".join(lines[0].split()) == "check what it did what is right what was sent"
    assert lines[1].startswith("ok     valid ")
    assert any(line.startswith("wrong  large_body ") and "413 in" in line for line in lines)
    assert "large_body: long answers of learners" in out
    assert err == f"{len(ALL) - 1} of {len(ALL)} are right.\n"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://127.0.0.1:1/", "Is the receiver running"),
        ("http://no-such-host.invalid/", "The name does not resolve."),
        ("http://localhost:1/", "Is the receiver running"),
    ],
)
def test_what_cannot_be_reached_ends_at_once_with_advice(capsys, url, advice):
    code = run(["check-receiver", url, "--secret", SECRET, *LOOPBACK])

    out, err = capsys.readouterr()
    assert code == 1
    assert advice in out
    assert err == "0 of 1 are right.\n"


def test_a_name_of_a_blocked_address_says_how_to_allow_it(capsys):
    code = run(["check-receiver", "http://localhost:1/", "--secret", SECRET])

    out = capsys.readouterr().out
    assert code == 1
    assert "blocked_address" in out
    assert "is not public." in out
    assert "--allow NETWORK, such as 127.0.0.0/8" in out


def test_the_usual_setting_allows_as_well(monkeypatch, capsys):
    monkeypatch.setenv("COURSEBELL_ALLOWED_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)

    with receiver(good) as url:
        assert run(["check-receiver", url]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("http://127.0.0.1:9000/",), "The address 127.0.0.1 is not public. To allow it: --allow"),
        (("ftp://crm.example/",), "Must be a URL that starts with http:// or https://."),
        (("https://crm.example/", "--secret", "whsec_x"), "Invalid value for --secret"),
        (("https://crm.example/", "--timeout", "0"), "Invalid value for '--timeout'"),
        (("https://crm.example/", "--header", "X-Key"), "Write it as NAME:VALUE."),
        (("https://crm.example/", "--header", "Host: x"), "The name Host is reserved."),
        (("https://crm.example/", "--allow", "here"), "Allowed networks: 'here'"),
        (("https://crm.example/", "--method", "GET"), "Invalid value for '--method'"),
    ],
)
def test_what_is_not_understood_is_one_line_and_2(capsys, arguments, message):
    code = run(["check-receiver", "--secret", SECRET, *arguments])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_secret_is_needed(capsys):
    assert run(["check-receiver", "https://crm.example/"]) == 2
    assert "--secret" in capsys.readouterr().err
