"""What an operator can set, and what is said about what cannot be."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coursebell.errors import ConfigurationError
from coursebell.settings import LogFormat, Settings, unknown_variables, variable

KEY = "correct horse battery"
OLD_KEY = "an older key that still reads"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)


def test_without_any_variable_there_is_a_sqlite_file_here_and_nothing_private_allowed():
    settings = Settings.load()

    assert settings.database_url == "sqlite:///coursebell.db"
    assert settings.keys == ()
    assert settings.allowed_networks == ()
    assert settings.public_url is None
    assert settings.log_format is None
    assert settings.log_level == "info"
    assert settings.retention_days is None


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    values = {
        "DATABASE_URL": "postgresql://bell:ringing@db/coursebell",
        "SECRET_KEY": f"{KEY}, {OLD_KEY}",
        "ALLOWED_NETWORKS": "127.0.0.0/8, ::1/128",
        "PUBLIC_URL": "https://learn.example/bell",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "debug",
        "MAX_REQUESTS": "64",
        "MAX_IN_FLIGHT": "512",
        "MAX_IN_FLIGHT_PER_HOST": "16",
        "RETENTION_DAYS": "30",
        "PROXY": "http://proxy.example:3128",
        "CA_FILE": str(bundle),
        "UPLOAD_DIRECTORY": "/srv/uploads",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"COURSEBELL_{name}", value)

    settings = Settings.load()

    assert {variable(field) for field in Settings.model_fields} == {
        f"COURSEBELL_{name}" for name in values
    }
    assert settings.database_url == values["DATABASE_URL"]
    assert settings.keys == (KEY, OLD_KEY)
    assert settings.allowed_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert settings.public_url == values["PUBLIC_URL"]
    assert settings.log_format is LogFormat.JSON
    assert settings.log_level == "debug"
    assert settings.retention_days == 30
    assert (settings.max_in_flight, settings.max_in_flight_per_host) == (512, 16)
    assert settings.proxy == values["PROXY"]
    assert settings.ca_file == bundle
    assert settings.upload_directory == Path("/srv/uploads")


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COURSEBELL_DATABASE_URL", "sqlite:///environment.db")

    settings = Settings.load(database_url="sqlite:///argument.db")

    assert settings.database_url == "sqlite:///argument.db"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COURSEBELL_RETENTION_DAYS", "")

    assert Settings.load().retention_days is None


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        (
            "DATABASE_URL",
            "mysql://db",
            "must start with sqlite:/// or postgresql://, in --database too",
        ),
        ("SECRET_KEY", f"{KEY},short", "each key needs at least 16 characters"),
        ("ALLOWED_NETWORKS", "loopback", "'loopback' does not appear to be an IPv4 or IPv6"),
        ("ALLOWED_NETWORKS", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("PUBLIC_URL", "learn.example", "must be a URL that starts with http:// or https://"),
        ("PUBLIC_URL", "https://learn.example/", "must have no trailing slash"),
        ("PUBLIC_URL", "https://bell@learn.example", "must have no trailing slash"),
        ("PUBLIC_URL", "https://l\u00e9arn.example", "must be ASCII without white space"),
        ("PUBLIC_URL", "https://learn.example/a b", "must be ASCII without white space"),
        ("PUBLIC_URL", "https://[learn", "Invalid IPv6 URL"),
        ("LOG_FORMAT", "xml", "Input should be 'console' or 'json'"),
        ("LOG_LEVEL", "loud", "Input should be 'debug', 'info', 'warning' or 'error'"),
        ("MAX_IN_FLIGHT", "513", "Input should be less than or equal to 512"),
        ("MAX_IN_FLIGHT_PER_HOST", "0", "Input should be greater than or equal to 1"),
        ("RETENTION_DAYS", "0", "Input should be greater than or equal to 1"),
        ("RETENTION_DAYS", "a month", "Input should be a valid integer"),
        ("PROXY", "ftp://proxy", "must be a URL that starts with http:// or"),
        ("CA_FILE", "/nowhere/ca.pem", "there is no file /nowhere/ca.pem"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_variable_and_the_rule(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, rule: str
):
    monkeypatch.setenv(f"COURSEBELL_{name}", value)

    with pytest.raises(ConfigurationError) as caught:
        Settings.load()

    assert caught.value.message.startswith(f"COURSEBELL_{name}: {rule}")
    assert "\n" not in caught.value.message


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COURSEBELL_LOG_LEVEL", "loud")
    monkeypatch.setenv("COURSEBELL_RETENTION_DAYS", "-1")

    with pytest.raises(ConfigurationError, match=r"COURSEBELL_LOG_LEVEL: .*; COURSEBELL_RETENTION"):
        Settings.load()


def test_a_secret_is_in_no_representation_and_in_no_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COURSEBELL_SECRET_KEY", KEY)
    monkeypatch.setenv("COURSEBELL_DATABASE_URL", "postgresql://bell:ringing@db/coursebell")
    monkeypatch.setenv("COURSEBELL_PROXY", "http://bell:ringing@proxy.example")
    settings = Settings.load()

    shown = f"{settings!r} {settings}"

    assert KEY not in shown
    assert "ringing" not in shown

    monkeypatch.setenv("COURSEBELL_SECRET_KEY", "too short")
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert "too short" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_misspelt_variable_is_pointed_out():
    environ = {
        "COURSEBELL_DATABSE_URL": "sqlite:///coursebell.db",
        "COURSEBELL_SECRET_KEY": KEY,
        "COURSEBELL_TEST_POSTGRES": "the test suite's own",
        "COURSEBELL_ZZZ": "1",
        "PATH": "/bin",
    }

    assert unknown_variables(environ) == (
        "COURSEBELL_DATABSE_URL is not a setting; did you mean COURSEBELL_DATABASE_URL?",
        "COURSEBELL_ZZZ is not a setting",
    )


@given(st.lists(st.ip_addresses(), min_size=1))
def test_any_list_of_single_addresses_is_allowed_as_written(addresses):
    text = ",".join(map(str, addresses))

    networks = Settings(allowed_networks=text).allowed_networks

    assert [network.network_address for network in networks] == addresses


def test_every_setting_is_documented():
    reference = Path(__file__).parents[1] / "docs/reference/settings.md"

    text = reference.read_text(encoding="utf-8")

    for field, info in Settings.model_fields.items():
        assert f"`{variable(field)}`" in text
        assert info.description in text
