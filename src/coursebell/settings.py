"""What an operator can set: `COURSEBELL_*` environment variables, read when a process starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from coursebell.errors import ConfigurationError

PREFIX = "COURSEBELL_"
TEST_PREFIX = "COURSEBELL_TEST_"  # what only the test suite reads
MIN_KEY_LENGTH = 16
DATABASES = ("sqlite:///", "postgresql://", "postgresql+psycopg://", "postgres://")

Network = IPv4Network | IPv6Network


class LogFormat(StrEnum):
    """How a log line is written."""

    CONSOLE = "console"  # for people
    JSON = "json"  # for machines: one object a line


LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """The settings of one process. The description of each field is its reference documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=False,
    )

    database_url: str = Field(
        "sqlite:///coursebell.db",
        repr=False,  # may hold a password
        description="Where everything is kept: `sqlite:///FILE`"
        " or `postgresql://USER:PASSWORD@HOST:PORT/NAME`.",
    )
    secret_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Keys that encrypt webhook secrets and custom header values, comma separated,"
        " each at least 16 characters: the first encrypts, all decrypt. Without one, SQLite uses a"
        " key file beside the database; PostgreSQL refuses to start.",
    )
    allowed_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (),
        description="Networks that are not public and may still receive deliveries, comma"
        " separated: `127.0.0.0/8,::1/128`. Read when the dispatcher starts.",
    )
    public_url: str | None = Field(
        None,
        description="The address under which others reach this server: `https://learn.example`."
        " It is in `ce-source` and in the links of thin payloads.",
    )
    log_format: LogFormat | None = Field(
        None,
        description="`console` for people or `json` for machines, one object a line."
        " Unset: `console` on a terminal, else `json`.",
    )
    log_level: LogLevel = Field(
        "info",
        description="The least that is logged: `debug`, `info`, `warning` or `error`.",
    )
    max_requests: int = Field(
        500,
        ge=1,
        description="How many requests the API takes on at once; it answers 503 with"
        " `Retry-After` to those beyond.",
    )
    max_in_flight: int = Field(
        256,
        ge=1,
        le=512,
        description="How many requests a dispatcher has under way at once, at most 512.",
    )
    max_in_flight_per_host: int = Field(
        64,
        ge=1,
        description="How many of them go to one host (scheme, name and port), by whatever webhooks:"
        " a slow host that many webhooks point to leaves room for the others.",
    )
    retention_days: int | None = Field(
        None,
        ge=1,
        description="After how many days attempts and bodies are removed of events whose every"
        " delivery is delivered, failed or cancelled. Unset: kept.",
    )
    upload_directory: Path | None = Field(
        None,
        description="Where files wait that were uploaded to be imported. Unset: `FILE.uploads`"
        " beside the SQLite file, `coursebell.uploads` in the working directory with PostgreSQL."
        " API and dispatcher processes of a machine need the same one.",
    )
    proxy: str | None = Field(
        None,
        repr=False,  # may hold a password
        description="A proxy that deliveries go through: `http://HOST:PORT`, `https://` or"
        " `socks5h://`. The usual proxy variables are ignored.",
    )
    ca_file: Path | None = Field(
        None,
        description="A file of CA certificates in PEM form that receivers' certificates are"
        " checked with, in place of the system's.",
    )

    @classmethod
    def load(cls, *, database_url: str | None = None) -> Self:
        """Read the environment; `database_url` (the command line's) wins over it.

        Raises `ConfigurationError`, one line that names each wrong variable and its rule.
        """
        try:
            return cls() if database_url is None else cls(database_url=database_url)
        except ValidationError as exc:
            raise ConfigurationError(_in_one_line(exc)) from None  # its cause may show a secret

    @property
    def keys(self) -> tuple[str, ...]:
        """The secret keys in clear, the encrypting one first."""
        return tuple(key.get_secret_value() for key in self.secret_key)

    @field_validator("secret_key", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        return _split(value) if isinstance(value, str) else value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_KEY_LENGTH for key in keys):
            raise ValueError(f"each key needs at least {MIN_KEY_LENGTH} characters")
        return keys

    @field_validator("allowed_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(map(ip_network, _split(value))) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if not url.startswith(DATABASES):
            raise ValueError("must start with sqlite:/// or postgresql://, in --database too")
        return url

    @field_validator("public_url")
    @classmethod
    def _bare_address(cls, url: str) -> str:
        parts = _parts(url, schemes=("http", "https"))
        if url.endswith("/") or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("must have no trailing slash, query, fragment or user name")
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise ValueError("must be ASCII without white space: it is sent in a header")
        return url

    @field_validator("proxy")
    @classmethod
    def _proxy_address(cls, url: str) -> str:
        _parts(url, schemes=("http", "https", "socks5", "socks5h"))
        return url

    @field_validator("ca_file")
    @classmethod
    def _existing_file(cls, path: Path) -> Path:
        if not path.is_file():
            raise ValueError(f"there is no file {path}")
        return path


def variable(field: str) -> str:
    """The environment variable that sets `field`."""
    return PREFIX + field.upper()


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each `COURSEBELL_*` variable that sets nothing: most likely a typing error."""
    fields = list(Settings.model_fields)
    strange = [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)
        if name.removeprefix(PREFIX).lower() not in fields
    ]
    return tuple(f"{name} is not a setting{_suggestion(name, fields)}" for name in strange)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _suggestion(name: str, fields: list[str]) -> str:
    close = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), fields, n=1)
    return f"; did you mean {variable(close[0])}?" if close else ""


def _parts(url: str, *, schemes: tuple[str, ...]) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(
            f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}"
        )
    return parts


def _in_one_line(exc: ValidationError) -> str:
    return "; ".join(
        f"{variable(str(error['loc'][0]))}: {error['msg'].removeprefix('Value error, ')}"
        for error in exc.errors(include_url=False, include_context=False, include_input=False)
    )
