"""What is to be copied for production parses, and names what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest
import yaml

from coursebell.metrics import Metrics
from coursebell.settings import Settings
from coursebell.web.routes import BulkRoute
from coursebell.web.tables import MAX_TABLE_BYTES
from delivery.hostile import self_signed
from docs.pages import PAGES, ROOT
from docs.test_mentions import COMMANDS

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(path.name for path in DEPLOY.glob("coursebell*"))
RULES = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]


@dataclass(frozen=True)
class NoBacklog:
    pending = held = failed = disabled_webhooks = backed_off_webhooks = 0
    oldest_pending_seconds = overdue_seconds = 0.0


def served_metrics() -> set[str]:
    """The names of all series that `/metrics` can show."""
    metrics = Metrics(NoBacklog)
    metrics.attempted("delivered", 0.1)
    metrics.completed(source="SELF", passed=True)
    metrics.requested(method="GET", route="/", status=200, seconds=0.1)
    metrics.refused()
    return set(re.findall(r"^(coursebell_\w+)", metrics.render().decode(), re.MULTILINE))


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_the_units(name, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    for unit in UNITS:  # a timer belongs to its service
        text = (DEPLOY / unit).read_text().replace("/opt/coursebell/bin/coursebell", sys.executable)
        (tmp_path / unit).write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
    )

    said = [line for line in done.stderr.splitlines() if name in line]
    assert (done.returncode, said) == (0, []), done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_served_and_says_what_to_do(rule):
    asked = set(re.findall(r"coursebell_\w+", rule["expr"]))

    assert asked <= served_metrics()
    assert asked or rule["alert"] == "CoursebellDown"
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "action"}


def test_alerts_select_labels_and_values_that_exist():
    shown = Metrics(NoBacklog)
    shown.attempted("delivered", 0.1)
    shown.requested(method="GET", route="/", status=500, seconds=0.1)
    text = shown.render().decode()

    for rule in RULES:
        for series, label, value in re.findall(
            r'(coursebell_\w+)\{(\w+)!?="(\w+)"\}', rule["expr"]
        ):
            assert re.search(rf'^{series}\{{.*{label}="{value}"', text, re.MULTILINE), rule["alert"]


def test_commands_in_alerts_and_units_exist():
    actions = "\n".join(rule["annotations"]["action"] for rule in RULES)
    units = "\n".join((DEPLOY / name).read_text() for name in UNITS)
    told = re.findall(r"\bcoursebell ([a-z-]+(?: [a-z]+)?)", actions)
    told += re.findall(r"/bin/coursebell ([a-z-]+)", units)

    assert {"doctor", "serve", "backup"} <= set(told)
    for command in told:
        first = command.split()[0]
        assert first in COMMANDS, command
        if any(known.startswith(f"{first} ") for known in COMMANDS):
            assert command in COMMANDS


def test_settings_in_the_files_exist():
    text = "\n".join(path.read_text() for path in DEPLOY.iterdir())

    for name in re.findall(r"COURSEBELL_([A-Z_]+)", text):
        assert name.lower() in Settings.model_fields


def test_proxies_let_through_what_the_api_takes_and_hide_the_counters():
    nginx, caddy = (DEPLOY / "nginx.conf").read_text(), (DEPLOY / "Caddyfile").read_text()

    assert nginx.count("{") == nginx.count("}")
    assert caddy.count("{") == caddy.count("}")
    most, most_of_table = BulkRoute.max_bytes >> 20, MAX_TABLE_BYTES >> 20
    assert re.findall(r"client_max_body_size (\w+);", nginx) == [f"{most}m", f"{most_of_table}m"]
    assert re.findall(r"max_size (\w+)", caddy) == [f"{most_of_table}MiB", f"{most}MiB"]
    assert "location = /metrics { deny all; }" in nginx
    assert "respond /metrics 403" in caddy
    for text in (nginx, caddy):
        assert "127.0.0.1:8400" in text


def test_nginx_takes_its_file(tmp_path):
    if shutil.which("nginx") is None:
        pytest.skip("there is no nginx here")
    self_signed(tmp_path, "learn.example")
    site = (DEPLOY / "nginx.conf").read_text()
    for placed, made in (
        ("learn.example.pem", "certificate.pem"),
        ("learn.example.key", "key.pem"),
    ):
        site = site.replace(f"/etc/ssl/{placed}", str(tmp_path / made))
    within = f"pid {tmp_path}/pid; events {{}} http {{ access_log off; {site} }}"
    (tmp_path / "nginx.conf").write_text(within)

    done = subprocess.run(
        ["nginx", "-t", "-q", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_caddy_takes_its_file(tmp_path):
    if shutil.which("caddy") is None:
        pytest.skip("there is no caddy here")

    done = subprocess.run(
        ["caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"],
        env=os.environ | {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_every_file_is_told_of_in_the_guide():
    guide = PAGES["docs/guides/production.md"]

    assert {path.name for path in DEPLOY.iterdir()} == set(
        re.findall(r"\]\(\.\./deploy/([\w.-]+)\)", guide)
    )
