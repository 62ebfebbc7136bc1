"""What a scrape shows, from one process and from several."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coursebell.metrics import CONTENT_TYPE, SHARED_DIRECTORY, Metrics
from coursebell.storage.deliveries import Backlog

BACKLOG = Backlog(
    pending=3,
    oldest_pending_seconds=1.5,
    failed=2,
    held=1,
    disabled_webhooks=4,
    backed_off_webhooks=5,
)


def samples(scraped: bytes) -> dict[tuple[str, ...], float]:
    """Every value by its name and its labels, which the text format sorts."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(scraped.decode())
        for sample in family.samples
    }


def test_attempts_completions_and_requests_are_counted():
    metrics = Metrics()

    metrics.attempted("delivered", 0.02)
    metrics.attempted("delivered", 0.3)
    metrics.attempted("http_500", 0.004)
    metrics.completed(source="SELF", passed=True)
    metrics.completed(source="ADMIN", passed=False, count=500)
    metrics.requested(method="GET", route="/api/v5/users/{id}", status=200, seconds=0.01)
    metrics.refused()

    shown = samples(metrics.render())
    assert shown["coursebell_delivery_attempts_total", "delivered"] == 2
    assert shown["coursebell_delivery_attempts_total", "http_500"] == 1
    assert shown["coursebell_delivery_attempt_seconds_count",] == 3
    assert shown["coursebell_delivery_attempt_seconds_bucket", "0.025"] == 2
    assert shown["coursebell_completions_total", "true", "SELF"] == 1
    assert shown["coursebell_completions_total", "false", "ADMIN"] == 500
    assert shown["coursebell_http_requests_total", "GET", "/api/v5/users/{id}", "200"] == 1
    assert shown["coursebell_http_requests_refused_total",] == 1
    assert shown["coursebell_http_request_seconds_count", "GET", "/api/v5/users/{id}"] == 1


def test_what_waits_is_asked_of_the_database_at_each_scrape():
    asked = []

    def backlog() -> Backlog:
        asked.append(1)
        return BACKLOG

    metrics = Metrics(backlog)
    assert not asked

    shown = samples(metrics.render())
    metrics.render()

    assert len(asked) == 2
    assert shown["coursebell_deliveries_pending",] == 3
    assert shown["coursebell_deliveries_oldest_pending_seconds",] == 1.5
    assert shown["coursebell_deliveries_failed",] == 2
    assert shown["coursebell_deliveries_held",] == 1
    assert shown["coursebell_webhooks_disabled",] == 4
    assert shown["coursebell_deliveries_overdue_seconds",] == 0


def test_two_sets_of_counters_in_one_process_do_not_mix():
    first, second = Metrics(), Metrics()

    first.attempted("delivered", 0.1)

    assert ("coursebell_delivery_attempts_total", "delivered") not in samples(second.render())


def test_a_lone_process_answers_scrapes_on_a_port_of_its_own():
    metrics = Metrics(lambda: BACKLOG)
    metrics.attempted("timeout", 5)
    server, thread = metrics.serve(0)

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            shown = samples(answer.read())
            media_type = answer.headers["Content-Type"]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

    assert shown["coursebell_delivery_attempts_total", "timeout"] == 1
    assert shown["coursebell_deliveries_pending",] == 3
    assert media_type == CONTENT_TYPE


COUNT = "from coursebell.metrics import Metrics; Metrics().attempted('delivered', 0.1)"
SHOW = """
import sys
from coursebell.metrics import Metrics
from coursebell.storage.deliveries import Backlog
backlog = Backlog(
    pending=3,
    oldest_pending_seconds=0,
    failed=0,
    held=0,
    backed_off_webhooks=0,
    disabled_webhooks=0,
)
metrics = Metrics(lambda: backlog)
metrics.completed(source="SELF", passed=True)
sys.stdout.buffer.write(metrics.render())
"""


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_that_share_a_directory_are_shown_together(tmp_path: Path, processes: int):
    environment = {**os.environ, SHARED_DIRECTORY: str(tmp_path)}
    for _ in range(processes):
        subprocess.run([sys.executable, "-c", COUNT], env=environment, check=True)

    scraped = subprocess.check_output([sys.executable, "-c", SHOW], env=environment)

    shown = samples(scraped)
    assert shown["coursebell_delivery_attempts_total", "delivered"] == processes
    assert shown["coursebell_delivery_attempt_seconds_count",] == processes
    assert shown["coursebell_completions_total", "true", "SELF"] == 1
    assert shown["coursebell_deliveries_pending",] == 3
