"""What the logs look like, for people and for machines, and what is never in them."""

import io
import json
import logging
import select
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coursebell import logs


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_for_machines_is_one_object_with_every_field(capsys):
    logs.configure(as_json=True)

    logs.logger("delivery").info("delivery.attempted", delivery_id="d1", status=204, ok=True)

    (line,) = lines(capsys)
    moment = datetime.fromisoformat(line.pop("time"))
    assert moment.tzinfo == UTC
    assert line == {
        "event": "delivery.attempted",
        "level": "info",
        "part": "delivery",
        "delivery_id": "d1",
        "status": 204,
        "ok": True,
    }


def test_a_line_for_people_starts_with_the_time_and_is_not_json(capsys):
    logs.configure(as_json=False)

    logs.logger("delivery").warning("delivery.held", webhook="Grades ünd more")

    line = capsys.readouterr().err
    assert line.startswith("20")
    assert "delivery.held" in line
    assert "Grades ünd more" in line
    assert line.count("\n") == 1


def test_away_from_a_terminal_lines_are_for_machines(capsys):
    logs.configure()

    logs.logger("supervisor").info("child.started")

    assert lines(capsys)[0]["event"] == "child.started"


class Writes(io.StringIO):
    """A stderr that keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        self.each.append(text)
        return super().write(text)


def log_together(log, number):
    with logs.together():
        for each in range(number):
            log.info("delivery.attempted", number=each, name="ü" * 200)
        {}["no such delivery"]


def test_lines_that_come_together_are_written_together_but_never_torn(monkeypatch):
    stderr = Writes()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.configure(as_json=True)
    log = logs.logger("delivery")

    with pytest.raises(KeyError):
        log_together(log, 20)
    log.info("dispatcher.stopped")

    events = [json.loads(line) for line in stderr.getvalue().splitlines()]
    assert [event["number"] for event in events[:20]] == list(range(20))
    assert events[-1]["event"] == "dispatcher.stopped"
    assert 2 < len(stderr.each) < 8
    for piece in stderr.each:
        assert piece.endswith("\n")
        assert len(piece.encode()) <= select.PIPE_BUF


def test_a_line_longer_than_a_pipe_takes_at_once_is_a_write_of_its_own(monkeypatch):
    stderr = Writes()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.configure(as_json=True)

    with logs.together():
        for text in ("a", "b" * select.PIPE_BUF, "c"):
            logs.logger("web").info("said", text=text)

    assert [piece.count("\n") for piece in stderr.each] == [1, 1, 1]


def test_another_thread_does_not_wait_for_what_is_held_together(monkeypatch):
    stderr = Writes()
    monkeypatch.setattr(sys, "stderr", stderr)
    logs.configure(as_json=True)
    log = logs.logger("schedule")

    with logs.together():
        log.info("held")
        other = threading.Thread(target=log.info, args=("at.once",))
        other.start()
        other.join()
        seen = stderr.getvalue()

    assert json.loads(seen)["event"] == "at.once"
    assert len(stderr.each) == 2


def test_what_is_below_the_level_is_not_written(capsys):
    logs.configure(as_json=True, level="warning")
    log = logs.logger("delivery")

    log.info("delivery.attempted")
    log.error("delivery.failed")

    assert [line["event"] for line in lines(capsys)] == ["delivery.failed"]


def test_what_libraries_log_comes_out_the_same_way(capsys):
    logs.configure(as_json=True)

    logging.getLogger("uvicorn.error").warning("Invalid HTTP request %s", "received.")
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    logging.getLogger("anything").info("said", extra={"by": "a library"})

    invalid, said = lines(capsys)
    assert invalid["event"] == "Invalid HTTP request received."
    assert invalid["level"] == "warning"
    assert said["event"] == "said"
    assert said["by"] == "a library"


def test_a_wide_event_is_one_line_with_what_was_found_and_how_long_it_took(capsys):
    logs.configure(as_json=True)

    with logs.wide_event(logs.logger("schedule"), "offering.halted", offering_id="o1") as fields:
        fields["registrations"] = 3

    (line,) = lines(capsys)
    assert line["event"] == "offering.halted"
    assert line["level"] == "info"
    assert line["offering_id"] == "o1"
    assert line["registrations"] == 3
    assert line["duration_ms"] >= 0


def halt_an_unknown_offering() -> None:
    with logs.wide_event(logs.logger("schedule"), "offering.halted") as fields:
        fields["offering_id"] = "o1"
        {}["no such offering"]


@pytest.mark.parametrize("as_json", [True, False])
def test_a_wide_event_that_fails_says_why_and_lets_the_error_through(capsys, as_json):
    logs.configure(as_json=as_json)

    with pytest.raises(KeyError):
        halt_an_unknown_offering()

    text = capsys.readouterr().err
    assert "KeyError: 'no such offering'" in text
    assert "o1" in text
    assert "error" in text


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("field", "value", "secret"),
    [
        ("password", "hunter22", "hunter22"),
        ("token", "cbt_0123456789", "cbt_0123456789"),
        ("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("said", "use whsec_MfKQ9r8GKYqrTwjU=", "MfKQ9r8GKYqrTwjU"),
        ("said", f"use cb_{'x' * 43}", "x" * 43),
        ("said", "Authorization: Bearer abc.def", "abc.def"),
        ("said", "postgresql://bell:ringing@db/coursebell", "ringing"),
    ],
)
def test_a_secret_is_masked_wherever_it_turns_up(capsys, as_json, field, value, secret):
    logs.configure(as_json=as_json)

    logs.logger("web").info("request.refused", **{field: value})
    logging.getLogger("library").warning("about %s", value if field == "said" else "nothing")

    text = capsys.readouterr().err
    assert secret not in text
    assert logs.MASK in text
    assert text.count("\n") == 2


_HARMLESS = ["plain", "whsec_", "cb_short", "Bearer ", "://host/a:b", "scb_" + "x" * 30, "=", '"']
_SECRETS = ["whsec_S3cret+/=", "cb_S3cret" + "x" * 20, "Bearer S3cret", "x://u:S3cret@h"]


@given(words=st.lists(st.sampled_from(_HARMLESS + _SECRETS), min_size=1, max_size=8))
def test_however_many_secrets_a_line_has_all_are_masked_and_nothing_else(words):
    masked = logs.mask_text(None, "info", " | ".join(words))

    assert "S3cret" not in masked
    assert masked.count(logs.MASK) == sum(word in _SECRETS for word in words)
    kept = [word for word in words if word in _HARMLESS]
    assert [word for word in masked.split(" | ") if logs.MASK not in word] == kept


def test_a_secret_in_a_traceback_is_masked(capsys):
    logs.configure(as_json=True)

    try:
        {}["postgresql://bell:ringing@db/coursebell"]
    except KeyError:
        logs.logger("web").exception("request.failed")

    text = capsys.readouterr().err
    assert "ringing" not in text
    assert "postgresql://***@db/coursebell" in text


@given(value=st.text() | st.integers() | st.datetimes() | st.binary() | st.none())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_is_one_line_of_json(capsys, value):
    logs.configure(as_json=True)

    logs.logger("web").info("request.handled", value=value)

    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert json.loads(captured)["event"] == "request.handled"
