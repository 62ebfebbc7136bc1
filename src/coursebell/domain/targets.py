"""Where a webhook may point and which headers it may add: checked when it is saved.

A URL is taken apart here by stricter rules than libcurl's, so that nothing accepted can mean
another host, or another request, to libcurl. What a name resolves to is judged at every new
connection (`delivery.guard`), because it changes; only a literal address is judged here too.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

import idna

from coursebell.domain.addresses import Address, AddressRules
from coursebell.errors import InvalidInputError

MAX_URL_LENGTH = 2_048
MAX_HEADERS = 20
MAX_HEADER_NAME_LENGTH = 64
MAX_HEADER_VALUE_LENGTH = 4_096
MAX_HEADERS_LENGTH = 8_192

RESERVED_NAMES = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
RESERVED_PREFIXES = ("ce-", "content-", "coursebell-", "proxy-", "webhook-")

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^/?#:@\[\]]*)(?::(?P<port>[^/?#@]*))?"
    r"(?P<rest>(?:[/?][^#]*)?)",
    re.ASCII | re.IGNORECASE,
)
_AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_VISIBLE_ASCII = "".join(map(chr, range(0x21, 0x7F)))
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?", re.ASCII)


def check_url(text: str, rules: AddressRules) -> str:
    """The URL to store for what a client sent: the same in ASCII, as libcurl will get it.

    An internationalised host becomes its A-label form, other non-ASCII characters are
    percent-encoded. Raises `InvalidInputError` for the field `url`.
    """
    _check_length(text)
    if not text.isprintable() or " " in text or "\\" in text:
        raise _bad_url("Must not contain white space, control characters or backslashes.")
    match = _URL.fullmatch(text)
    if match is None:
        raise _bad_url(_why_no_url(text))
    host = _check_host(match["host"], rules)
    port = _check_port(match["port"])
    url = f"{match['scheme'].lower()}://{host}{port}{quote(match['rest'], safe=_VISIBLE_ASCII)}"
    _check_length(url)
    return url


def host_of(url: str) -> str:
    """`scheme://host:port` of a URL that `check_url` gave; any other text is a host of its own."""
    match = _URL.fullmatch(url)
    if match is None:
        return url
    port = match["port"] or ("443" if match["scheme"] == "https" else "80")
    return f"{match['scheme']}://{match['host'].lower().removesuffix('.')}:{port}"


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The custom headers of a webhook, as given, when each may be sent.

    Names are RFC 9110 tokens; values are visible ASCII with inner spaces, or empty. Names that
    belong to HTTP's framing or to the wire contract are refused, with `_` for `-` too, since CGI
    receivers cannot tell those apart. Raises `InvalidInputError` for the field `headers`; values
    may be secrets, so no message repeats one.
    """
    if len(headers) > MAX_HEADERS:
        raise _bad_headers(f"Must not be more than {MAX_HEADERS}.")
    seen: set[str] = set()
    for name, value in headers.items():
        _check_header(name, value)
        plain = name.lower().replace("_", "-")
        if plain in RESERVED_NAMES or plain.startswith(RESERVED_PREFIXES):
            raise _bad_headers(f"The name {name} is reserved.")
        if plain in seen:
            raise _bad_headers(f"The name {name} occurs twice.")
        seen.add(plain)
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADERS_LENGTH:
        raise _bad_headers(f"Must not be longer than {MAX_HEADERS_LENGTH} characters together.")
    return dict(headers)


def literal_address(host: str) -> Address | None:
    """The address that an ASCII `host` spells in any form that libcurl or getaddrinfo takes.

    None for a name. Raises `ValueError` for what looks like an address and is none.
    """
    if host.startswith("["):
        return IPv6Address(host[1:-1])
    plain = host.removesuffix(".")
    if not _NUMBER.fullmatch(plain.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(socket.inet_aton(plain))  # the C library's rules, so 127.1 and 0x7f.1
    except OSError as exc:
        raise AddressValueError(f"{host} is not an IPv4 address") from exc


def _check_length(url: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise _bad_url(f"Must not be longer than {MAX_URL_LENGTH} characters.")


def _check_host(text: str, rules: AddressRules) -> str:
    if not text:
        raise _bad_url("Must name a host.")
    host = _to_ascii(text)
    try:
        address = literal_address(host)
    except ValueError as exc:
        raise _bad_url("The host is not a valid IP address.") from exc
    if address is None:
        _check_name(host)
    elif not rules.permits(address):
        raise _bad_url(f"The address {address} is not public.")
    elif "%" in host:
        raise _bad_url("The host must not have a zone.")
    return host


def _to_ascii(host: str) -> str:
    """The host as DNS knows it, by IDNA 2008 with UTS 46's mapping (full-width digits too)."""
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError as exc:
        raise _bad_url("The host is not a valid internationalised name.") from exc


def _check_name(host: str) -> None:
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _bad_url("The host is not a valid name.")


def _check_port(text: str | None) -> str:
    if text is None:
        return ""
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65_535:
        raise _bad_url("The port must be a number from 1 to 65535.")
    return f":{int(text)}"


def _why_no_url(text: str) -> str:
    authority = _AUTHORITY.match(text)
    if authority is None:
        return "Must be a URL that starts with http:// or https://."
    if "@" in authority[1]:
        return "Must not contain a user name or password; send a header instead."
    if "#" in text:
        return "Must not have a fragment (#...)."
    return "The host is not valid."


def _check_header(name: str, value: str) -> None:
    if len(name) > MAX_HEADER_NAME_LENGTH or not _HEADER_NAME.fullmatch(name):
        raise _bad_headers(
            f"Each name must be a token of at most {MAX_HEADER_NAME_LENGTH} characters."
        )
    if len(value) > MAX_HEADER_VALUE_LENGTH or not _HEADER_VALUE.fullmatch(value):
        raise _bad_headers(
            f"The value of {name} must be visible ASCII characters and inner spaces, "
            f"at most {MAX_HEADER_VALUE_LENGTH}."
        )


def _bad_url(rule: str) -> InvalidInputError:
    return InvalidInputError(field_errors={"url": rule})


def _bad_headers(rule: str) -> InvalidInputError:
    return InvalidInputError(field_errors={"headers": rule})
