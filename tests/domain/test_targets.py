"""Where a webhook may point and which headers it may add."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coursebell.domain.addresses import AddressRules
from coursebell.domain.targets import (
    MAX_HEADERS,
    MAX_URL_LENGTH,
    check_headers,
    check_url,
    host_of,
    literal_address,
)
from coursebell.errors import InvalidInputError

RULES = AddressRules()


def refusal_of_url(text: str, rules: AddressRules = RULES) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_url(text, rules)
    assert list(caught.value.field_errors) == ["url"]
    return caught.value.field_errors["url"]


def refusal_of_headers(headers: dict[str, str]) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_headers(headers)
    assert list(caught.value.field_errors) == ["headers"]
    return caught.value.field_errors["headers"]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com/",
        "https://Example.COM:8443/a/b;c?d=e&f=%20%0d%0a",
        "http://example.com?x",
        "http://example.com./",
        "http://a_b.example/",
        "http://localhost:9000/hook",
        "http://xn--bcher-kva.example/",
        "http://93.184.216.34/",
        "http://1572395042/",
        "http://[2606:4700::1111]:1/",
        "http://[64:ff9b::5db8:d822]/",
        "http://example.com/@:[]{}|^`<>\"'",
    ],
)
def test_a_url_that_is_all_right_is_stored_as_given(url):
    assert check_url(url, RULES) == url


@pytest.mark.parametrize(
    ("given_url", "stored"),
    [
        ("HTTPS://example.com/", "https://example.com/"),
        ("http://example.com:0080/", "http://example.com:80/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://ⓔxample.com/", "http://example.com/"),
        ("http://example。com/", "http://example.com/"),
        ("http://example.com/ü?q=ä", "http://example.com/%C3%BC?q=%C3%A4"),
        ("http://\uff19\uff13.184.216.34/", "http://93.184.216.34/"),
    ],
)
def test_a_url_is_stored_in_ascii_as_libcurl_gets_it(given_url, stored):
    assert check_url(given_url, RULES) == stored


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0X7F.0.0.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0",
        "00",
        "0.0.0.0",
        "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "168.63.129.16",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:93.184.216.34]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[FC00::1]",
    ],
)
def test_a_blocked_address_is_refused_in_any_form_that_libcurl_takes(host):
    assert refusal_of_url(f"http://{host}:8080/hook").endswith("is not public.")


def test_an_address_that_the_operator_allows_is_accepted():
    rules = AddressRules.parse("127.0.0.0/8,::1")

    assert check_url("http://127.1:9000/", rules) == "http://127.1:9000/"
    assert check_url("http://[::1]:9000/", rules) == "http://[::1]:9000/"
    assert refusal_of_url("http://10.0.0.1/", rules) == "The address 10.0.0.1 is not public."


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "starts with http"),
        ("example.com", "starts with http"),
        ("//example.com", "starts with http"),
        ("http:/example.com", "starts with http"),
        ("http:example.com", "starts with http"),
        ("ftp://example.com", "starts with http"),
        ("file:///etc/passwd", "starts with http"),
        ("javascript:alert(1)", "starts with http"),
        ("http+unix://%2fvar%2frun/", "starts with http"),
        ("ħttp://example.com", "starts with http"),
        ("http://", "name a host"),
        ("http:///path", "name a host"),
        ("http://:80/", "name a host"),
        ("http://?x", "name a host"),
        ("http://me@example.com/", "user name"),
        ("http://me:secret@example.com/", "user name"),
        ("http://@example.com/", "user name"),
        ("http://93.184.216.34:80@127.0.0.1/", "user name"),
        ("http://example.com/#part", "fragment"),
        ("http://example.com#@evil.example/", "fragment"),
        ("http://example.com:/", "port"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:999999/", "port"),
        ("http://example.com:-1/", "port"),
        ("http://example.com:80:80/", "port"),
        ("http://example.com:\uff180/", "port"),
        ("http://example.com:http/", "port"),
        ("http://a..b/", "valid name"),
        ("http://.example.com/", "valid name"),
        ("http://example.com../", "valid name"),
        ("http://-a.example/", "valid name"),
        ("http://a-.example/", "valid name"),
        ("http://a%2eb/", "valid name"),
        ("http://%6cocalhost/", "valid name"),
        ("http://a,b/", "valid name"),
        ("http://a;b/", "valid name"),
        ("http://" + "a" * 64 + ".example/", "valid name"),
        ("http://" + "a." * 130 + "example/", "valid name"),
        ("http://\u200d.example/", "white space, control"),
        ("http://☃.example/", "internationalised"),
        ("http://a..ü/", "internationalised"),
        ("http://1.2.3.4.5/", "valid IP address"),
        ("http://256.1.1.1/", "valid IP address"),
        ("http://08.1.1.1/", "valid IP address"),
        ("http://4294967296/", "valid IP address"),
        ("http://example.1/", "valid IP address"),
        ("http://0x/", "valid IP address"),
        ("http://%31%32%37.0.0.1/", "valid IP address"),
        ("http://[::1/", "host is not valid"),
        ("http://::1/", "host"),
        ("http://[1]x/", "host is not valid"),
        ("http://[]/", "valid IP address"),
        ("http://[v1.a]/", "valid IP address"),
        ("http://[127.0.0.1]/", "valid IP address"),
        ("http://[2606:4700::1111%eth0]/", "zone"),
        ("http://example.com/a b", "white space"),
        (" http://example.com/", "white space"),
        ("http://example.com/\n", "white space"),
        ("http://example.com/\r\nX: y", "white space"),
        ("http://example.com/\t", "white space"),
        ("http://example.com/\x00", "white space"),
        ("http://example.com/\x7f", "white space"),
        ("http://example.com/\x85", "white space"),
        ("http://example.com/\xa0", "white space"),
        ("http://example.com/\u2028", "white space"),
        ("http://example.com/\ufeff", "white space"),
        ("http://example.com/\ud800", "white space"),
        ("http://example.com\\@evil.example/", "backslash"),
        ("http:\\\\example.com/", "backslash"),
        ("http://example.com/" + "a" * MAX_URL_LENGTH, "longer than 2048"),
        ("http://example.com/" + "ü" * 1000, "longer than 2048"),
    ],
)
def test_a_url_that_could_mean_something_else_is_refused_with_the_rule_it_breaks(url, rule):
    assert rule in refusal_of_url(url)


@given(st.ip_addresses())
def test_a_literal_address_is_accepted_exactly_when_it_is_permitted(address):
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)

    if RULES.permits(address):
        assert check_url(f"http://{host}/", RULES) == f"http://{host}/"
    else:
        assert refusal_of_url(f"http://{host}/") == f"The address {address} is not public."


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{:d}", "{:#x}", "0{:o}", "0x{:X}", "{:d}."]))
def test_an_address_written_as_one_number_is_known_in_every_base(number, form):
    host = "0" if number == 0 and form == "0{:o}" else form.format(number)

    assert literal_address(host) == IPv4Address(number)


hosts = st.sampled_from(["example.com", "93.184.216.34", "[2606:4700::1111]", "bücher.example"])
pieces = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FF), max_size=12)


@given(hosts, pieces, pieces, pieces)
@example("example.com", "", "/ HTTP/1.1\r\nX: y", "")
def test_no_url_that_is_accepted_can_split_a_request_or_change_its_host(host, mid, path, query):
    text = f"http://{host}{mid}/{path}?{query}"
    try:
        stored = check_url(text, RULES)
    except InvalidInputError:
        return

    assert re.fullmatch(r"http://[A-Za-z0-9._:\[\]-]+([/?][!-~]*)?", stored)
    assert not set("@\\#") & set(stored.split("/")[2])
    assert check_url(stored, RULES) == stored


@given(st.text(), st.sampled_from(["{}", "http://{}", "http://{}/"]))
def test_any_text_is_either_a_url_or_invalid_input(text, form):
    try:
        stored = check_url(form.format(text), RULES)
    except InvalidInputError:
        return

    assert stored.isascii()


def test_headers_that_are_all_right_are_kept_as_given():
    headers = {"Authorization": "Bearer a b=c", "X-Empty": "", "X_1!#$%&'*+-.^`|~": '"quoted" ,;:'}

    assert check_headers(headers) == headers
    assert check_headers({}) == {}


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "CONTENT-LENGTH",
        "content-type",
        "Content-Encoding",
        "Content_Length",
        "transfer-encoding",
        "Connection",
        "Keep-Alive",
        "User-Agent",
        "Expect",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
        "proxy-connection",
        "Webhook-Id",
        "webhook_signature",
        "ce-id",
        "CE-anything",
        "Coursebell-Delivery",
    ],
)
def test_a_name_that_belongs_to_the_protocol_or_the_contract_is_reserved(name):
    assert refusal_of_headers({name: "x"}) == f"The name {name} is reserved."


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\nb", "a\x00", "ä", "a(b)", "a;", "a\u2028", "a" * 65]
)
def test_a_name_that_is_no_token_is_refused(name):
    assert "token" in refusal_of_headers({name: "x"})


@pytest.mark.parametrize(
    "value",
    ["a\r\nb", "a\n", "\r", "a\x00b", "a\tb", "a\x7f", "ä", "\x80", " a", "a ", " ", "a" * 4097],
)
def test_a_value_that_could_end_the_header_is_refused_without_repeating_it(value):
    rule = refusal_of_headers({"X-Key": value})

    assert rule.startswith("The value of X-Key must be visible ASCII")
    assert len(rule) < 120


def test_headers_are_capped_in_number_and_together_in_size():
    many = {f"X-{number}": "x" for number in range(MAX_HEADERS + 1)}
    large = {f"X-{number}": "x" * 4000 for number in range(3)}

    assert "more than 20" in refusal_of_headers(many)
    assert "longer than 8192" in refusal_of_headers(large)


def test_a_name_may_occur_once_only_in_whatever_letters():
    assert refusal_of_headers({"X-Key": "1", "x_key": "2"}) == "The name x_key occurs twice."


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4))
@example({"X": "a\r\n\r\nGET / HTTP/1.1"})
def test_no_header_that_is_accepted_can_split_a_request(headers):
    try:
        accepted = check_headers(headers)
    except InvalidInputError:
        return

    for name, value in accepted.items():
        assert re.fullmatch(r"[!-9;-~]+", name)
        assert re.fullmatch(r"[ -~]*", value)


def test_a_name_of_a_host_is_no_literal_address():
    assert literal_address("example.com") is None
    assert literal_address("1.example") is None
    assert literal_address("[::1]") == ip_address("::1")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://lms.example/hook", "https://lms.example:443"),
        ("https://lms.example:443", "https://lms.example:443"),
        ("https://LMS.example.?q=1", "https://lms.example:443"),
        ("http://lms.example/hook", "http://lms.example:80"),
        ("https://lms.example:8443/hook", "https://lms.example:8443"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080"),
        ("mailto:bell@lms.example", "mailto:bell@lms.example"),
    ],
)
def test_urls_that_one_server_answers_have_the_same_host(url, host):
    assert host_of(url) == host
