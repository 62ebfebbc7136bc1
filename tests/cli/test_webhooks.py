"""`coursebell webhook`, on both engines."""

import json

import pytest

from coursebell.cli.app import run


@pytest.fixture
def coursebell(database_url, capsys, monkeypatch, secret_key):
    """Runs a command on an installation, says its exit code, stdout and stderr."""
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", secret_key)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["--database", database_url, *arguments])
        return code, *capsys.readouterr()

    assert command("init")[0] == 0
    return command


def test_a_receiver_is_connected_and_its_secret_printed_alone(coursebell):
    code, out, err = coursebell(
        *("webhook", "add", "https://lms.example/hook", "--name", "LMS"),
        *("--event", "offering_completed", "--event", "user_created"),
    )

    _, listed, _ = coursebell("webhook", "list", "--json")
    _, table, _ = coursebell("webhook", "list")
    assert code == 0
    assert out.startswith("whsec_")
    assert out.count("\n") == 1
    (webhook,) = json.loads(listed)
    assert webhook["id"] in err
    assert webhook["name"] == "LMS"
    assert webhook["url"] == "https://lms.example/hook"
    assert webhook["events"] == ["offering_completed", "user_created"]
    assert webhook["status"] == "active"
    assert out.strip() not in listed + table
    assert "offering_completed, user_created" in table


def test_for_a_script_id_and_secret_come_together(coursebell):
    _, out, err = coursebell(
        "webhook", "add", "https://lms.example/hook", "--event", "offering_completed", "--json"
    )

    assert json.loads(out).keys() == {"id", "secret"}
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("http://127.0.0.1:9000/", "--event", "offering_completed"), 1, "url: "),
        (
            ("https://x.example/", "--event", "user_created", "--name", " "),
            2,
            "Invalid value for '--name'",
        ),
        (
            ("http://10.0.0.1/", "--event", "offering_completed"),
            1,
            "url: The address 10.0.0.1 is not public. To allow it: COURSEBELL_ALLOWED_NETWORKS",
        ),
        (("ftp://lms.example/", "--event", "offering_completed"), 1, "url: "),
        (
            ("https://lms.example/", "--event", "offering_finished"),
            2,
            "Invalid value for '--event': 'offering_finished' is not one of",
        ),
        (("https://lms.example/",), 2, "Missing option '--event'"),
    ],
)
def test_what_cannot_be_connected_is_one_line(coursebell, arguments, code, message):
    found, out, err = coursebell("webhook", "add", *arguments)

    assert (found, out) == (code, "")
    assert err.startswith(f"coursebell: {message}")
    assert err.count("\n") == 1


def test_the_operator_may_allow_a_receiver_on_this_machine(coursebell, monkeypatch):
    monkeypatch.setenv("COURSEBELL_ALLOWED_NETWORKS", "127.0.0.0/8")

    code, _, _ = coursebell(
        "webhook", "add", "http://127.0.0.1:9000/", "--event", "offering_completed"
    )

    assert code == 0


def test_a_test_is_a_delivery_that_can_be_listed(coursebell):
    _, out, _ = coursebell(
        "webhook", "add", "https://lms.example/hook", "--event", "offering_completed", "--json"
    )
    webhook_id = json.loads(out)["id"]

    code, delivery_id, _ = coursebell("webhook", "test", webhook_id)

    _, listed, _ = coursebell("webhook", "deliveries", webhook_id, "--json", "--status", "pending")
    _, table, _ = coursebell("webhook", "deliveries", webhook_id)
    _, failed, _ = coursebell("webhook", "deliveries", webhook_id, "--status", "failed", "--json")
    assert code == 0
    (delivery,) = json.loads(listed)
    assert delivery["id"] == delivery_id.strip()
    assert delivery["kind"] == "test"
    assert delivery["event"] == "offering_completed"
    assert delivery["attemptCount"] == 0
    assert delivery_id.strip() in table
    assert json.loads(failed) == []


@pytest.fixture
def webhook_id(coursebell):
    _, out, _ = coursebell(
        "webhook", "add", "https://lms.example/hook", "--event", "user_created", "--json"
    )
    return json.loads(out)["id"]


def test_the_list_says_how_often_in_a_row_a_receiver_failed(coursebell, webhook_id):
    heads, row = (line.split() for line in coursebell("webhook", "list")[1].splitlines())

    assert row[heads.index("consecutiveFailures")] == "0"


def add_user(coursebell):
    person = ("--email", "bo@school.example", "--first-name", "Bo", "--last-name", "Berg")
    assert coursebell("user", "create", *person)[0] == 0


def test_a_webhook_is_paused_and_resumed(coursebell, webhook_id):
    def status():
        return json.loads(coursebell("webhook", "list", "--json")[1])[0]["status"]

    code, _, err = coursebell("webhook", "pause", webhook_id)
    assert (code, status()) == (0, "paused")
    assert f"coursebell webhook resume {webhook_id}" in err

    assert coursebell("webhook", "resume", webhook_id)[0] == 0
    assert status() == "active"


def test_a_new_secret_is_printed_alone(coursebell, webhook_id):
    code, out, err = coursebell("webhook", "rotate", webhook_id, "--overlap", "60")

    assert code == 0
    assert out.startswith("whsec_")
    assert out.count("\n") == 1
    assert "60 more seconds" in err
    assert coursebell("webhook", "rotate", webhook_id, "--overlap", "-1")[0] == 2


def test_the_past_is_sent_again_and_its_number_printed(coursebell, webhook_id):
    add_user(coursebell)

    code, out, err = coursebell("webhook", "replay", webhook_id, "--since", "1h")
    failed = coursebell(
        *("webhook", "replay", webhook_id, "--since", "2020-01-01", "--status", "failed"),
        *("--until", "1d", "--event", "user_created"),
    )

    assert (code, out) == (0, "1\n")
    assert f"coursebell webhook deliveries {webhook_id}" in err
    assert failed == (0, "0\n", "There is nothing to send.\n")


def test_a_late_webhook_is_sent_the_past_once(coursebell):
    add_user(coursebell)
    _, out, _ = coursebell(
        "webhook", "add", "https://lms.example/hook", "--event", "user_created", "--json"
    )
    late = json.loads(out)["id"]

    sent = [coursebell("webhook", "backfill", late, "--since", "1h")[1] for _ in range(2)]

    assert sent == ["2\n", "0\n"]  # the administrator is a user too


def test_a_time_that_is_none_is_one_line(coursebell, webhook_id):
    code, out, err = coursebell("webhook", "backfill", webhook_id, "--since", "soon")

    assert (code, out) == (2, "")
    assert "--since" in err
    assert err.count("\n") == 1


SINCE = ("--since", "1h")
ABOUT_ONE = [
    ("test",),
    ("deliveries",),
    ("pause",),
    ("resume",),
    ("rotate",),
    ("replay", *SINCE),
    ("backfill", *SINCE),
]


def connect(coursebell, name: str) -> str:
    """The id of a new webhook."""
    _, out, _ = coursebell(
        *("webhook", "add", f"https://{name[:3]}.example/", "--name", name),
        *("--event", "user_created", "--json"),
    )
    return json.loads(out)["id"]


@pytest.mark.parametrize(("command", "options"), [(each[0], each[1:]) for each in ABOUT_ONE])
def test_a_webhook_that_does_not_exist_is_one_line(coursebell, command, options):
    for unknown in ("0" * 32, "nobody"):
        code, out, err = coursebell("webhook", command, unknown, *options)

        assert (code, out) == (1, "")
        assert err == "coursebell: There is no such webhook. See: coursebell webhook list\n"


@pytest.mark.parametrize(("command", "options"), [(each[0], each[1:]) for each in ABOUT_ONE])
def test_a_webhook_is_known_by_its_name(coursebell, webhook_id, command, options):
    connect(coursebell, "crm")

    assert coursebell("webhook", command, "crm", *options)[0] == 0
    assert coursebell("webhook", command, "https://crm.example/", *options)[0] == 0


def test_what_is_said_next_names_the_webhook_by_its_id(coursebell):
    crm = connect(coursebell, "crm")

    _, _, err = coursebell("webhook", "pause", "crm")

    assert f"coursebell webhook resume {crm}" in err


@pytest.mark.parametrize(("command", "options"), [(each[0], each[1:]) for each in ABOUT_ONE])
def test_a_name_that_several_webhooks_have_is_refused_with_their_ids(coursebell, command, options):
    both = [connect(coursebell, "crm"), connect(coursebell, "crm")]

    code, out, err = coursebell("webhook", command, "crm", *options)

    assert (code, out) == (1, "")
    assert all(each in err for each in both)


def test_an_id_means_its_webhook_also_where_another_is_called_that(coursebell):
    crm = connect(coursebell, "crm")
    other = connect(coursebell, crm)

    assert crm in coursebell("webhook", "pause", crm)[2]
    assert other in coursebell("webhook", "pause", other)[2]
