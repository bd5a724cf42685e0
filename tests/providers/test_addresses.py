"""The address table, and that nothing the resolver takes for an address gets past the URL rules."""

import pytest

from providers.addresses import OPEN, AddressPolicy, Kind, kind_of
from providers.base import BadQuery, NotAllowed, ProviderError
from providers.destinations import check_headers, overlay_headers, parse_url

STRICT = AddressPolicy(allow_private=False, allow_loopback=False)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        # cloud metadata, by provider
        ("169.254.169.254", Kind.NEVER),  # AWS, GCP, Azure, DigitalOcean, OpenStack
        ("169.254.170.2", Kind.NEVER),  # ECS task credentials
        ("169.254.170.23", Kind.NEVER),  # EKS pod identity
        ("169.254.42.42", Kind.NEVER),  # Scaleway
        ("169.254.0.23", Kind.NEVER),  # Tencent
        ("100.100.100.200", Kind.NEVER),  # Alibaba: is_private says False
        ("168.63.129.16", Kind.NEVER),  # Azure wire server: is_global says True
        ("192.0.0.192", Kind.NEVER),  # Oracle
        ("fd00:ec2::254", Kind.NEVER),  # AWS
        ("fd00:ec2::23", Kind.NEVER),  # EKS pod identity
        ("fd20:ce::254", Kind.NEVER),  # GCP
        ("fd00:c1::a9fe:a9fe", Kind.NEVER),  # Oracle
        ("fd00:42::42", Kind.NEVER),  # Scaleway
        ("fe80::a9fe:a9fe", Kind.NEVER),  # OpenStack
        ("fe80::a9fe:a9fe%eth0", Kind.NEVER),
        # the same, wrapped
        ("::ffff:169.254.169.254", Kind.NEVER),  # v4-mapped
        ("::ffff:a9fe:a9fe", Kind.NEVER),
        ("::169.254.169.254", Kind.NEVER),  # v4-compatible
        ("::ffff:0:169.254.169.254", Kind.NEVER),  # v4-translated
        ("64:ff9b::a9fe:a9fe", Kind.NEVER),  # NAT64
        ("64:ff9b:1::a9fe:a9fe", Kind.NEVER),  # NAT64, local prefix
        ("2002:a9fe:a9fe::", Kind.NEVER),  # 6to4
        ("2002:a9fe:a9fe::1", Kind.NEVER),
        ("2001:0:a9fe:a9fe::", Kind.NEVER),  # Teredo server
        ("2001:0:808:808:0:0:5601:5601", Kind.NEVER),  # Teredo client, inverted
        ("2001:4860::5efe:a9fe:a9fe", Kind.NEVER),  # ISATAP
        ("2001:4860::200:5efe:a9fe:a9fe", Kind.NEVER),
        ("64:ff9b::6464:64c8", Kind.NEVER),  # Alibaba through NAT64
        ("::ffff:168.63.129.16", Kind.NEVER),
        # never a backend
        ("0.0.0.0", Kind.NEVER),  # Linux takes it for loopback
        ("0.1.2.3", Kind.NEVER),
        ("::", Kind.NEVER),
        ("224.0.0.1", Kind.NEVER),
        ("239.255.255.250", Kind.NEVER),
        ("240.0.0.1", Kind.NEVER),
        ("255.255.255.255", Kind.NEVER),
        ("192.0.2.1", Kind.NEVER),
        ("198.51.100.7", Kind.NEVER),
        ("203.0.113.9", Kind.NEVER),
        ("192.88.99.1", Kind.NEVER),
        ("ff02::1", Kind.NEVER),
        ("fec0::1", Kind.NEVER),
        ("fe80::1", Kind.NEVER),
        ("2001:db8::1", Kind.NEVER),
        ("3fff::1", Kind.NEVER),
        ("100::1", Kind.NEVER),
        ("2001:10::1", Kind.NEVER),
        ("2001:20::1", Kind.NEVER),
        ("2001:2::1", Kind.NEVER),
        ("5f00::1", Kind.NEVER),
        ("not an address", Kind.NEVER),
        ("", Kind.NEVER),
        # loopback
        ("127.0.0.1", Kind.LOOPBACK),
        ("127.255.255.254", Kind.LOOPBACK),
        ("::1", Kind.LOOPBACK),
        ("::ffff:127.0.0.1", Kind.LOOPBACK),
        ("64:ff9b::7f00:1", Kind.LOOPBACK),
        ("2002:7f00:1::", Kind.LOOPBACK),
        # private
        ("10.0.0.1", Kind.PRIVATE),
        ("172.16.0.1", Kind.PRIVATE),
        ("172.31.255.255", Kind.PRIVATE),
        ("192.168.1.1", Kind.PRIVATE),
        ("100.64.0.1", Kind.PRIVATE),
        ("198.18.0.1", Kind.PRIVATE),
        ("fd12:3456::1", Kind.PRIVATE),
        ("fc00::1", Kind.PRIVATE),
        ("::ffff:10.0.0.1", Kind.PRIVATE),
        ("64:ff9b::a00:1", Kind.PRIVATE),
        ("64:ff9b:1::808:808", Kind.PRIVATE),
        # public
        ("8.8.8.8", Kind.PUBLIC),
        ("172.32.0.1", Kind.PUBLIC),
        ("100.128.0.1", Kind.PUBLIC),
        ("2606:4700::1111", Kind.PUBLIC),
        ("64:ff9b::808:808", Kind.PUBLIC),
        ("::ffff:8.8.8.8", Kind.PUBLIC),
    ],
)
def test_kind(address: str, kind: Kind) -> None:
    assert kind_of(address) is kind


@pytest.mark.parametrize(
    ("policy", "host", "address", "allowed"),
    [
        (OPEN, "prom", "127.0.0.1", True),
        (OPEN, "prom", "10.0.0.1", True),
        (OPEN, "prom", "169.254.169.254", False),
        (STRICT, "prom", "10.0.0.1", False),
        (STRICT, "prom", "127.0.0.1", False),
        (STRICT, "prom", "8.8.8.8", True),
        # a listed host may be private, and still never be metadata
        (AddressPolicy(False, False, ("prom.monitoring",)), "PROM.monitoring.", "10.0.0.1", True),
        (AddressPolicy(False, False, ("prom.monitoring",)), "prom.monitoring", "169.254.169.254", False),
        (AddressPolicy(False, False, ("*.svc",)), "prom.svc", "10.0.0.1", True),
        (AddressPolicy(False, False, ("*.svc",)), "evilsvc", "10.0.0.1", False),
        (AddressPolicy(False, False, ("*.svc",)), "svc", "10.0.0.1", False),
        (AddressPolicy(False, False, ("10.1.0.0/16",)), "prom", "10.1.2.3", True),
        (AddressPolicy(False, False, ("10.1.0.0/16",)), "prom", "10.2.2.3", False),
        (AddressPolicy(False, False, ("169.254.0.0/16",)), "prom", "169.254.169.254", False),
        (AddressPolicy(listed_only=True), "prom", "8.8.8.8", False),
        (AddressPolicy(listed_only=True, allowed_hosts=("prom",)), "prom", "8.8.8.8", True),
    ],
)
def test_policy(policy: AddressPolicy, host: str, address: str, allowed: bool) -> None:
    assert policy.allows(address, host) is allowed


URLS = [
    ("http://prometheus:9090", None, ""),
    ("https://prom.example/path?x=1", None, ""),
    ("HTTP://prom.example", None, ""),
    ("http://127.0.0.1:9090", None, ""),
    ("http://[::1]:9090/", None, ""),
    ("http://xn--bcher-kva.example/", None, ""),
    ("http://my_service.ns/", None, ""),  # docker and compose names
    pytest.param("prometheus:9090", BadQuery, "address needs http:// or https://", marks=pytest.mark.bad_input(107)),
    ("", BadQuery, "address needs http:// or https://"),
    ("//prom", BadQuery, "address needs http:// or https://"),
    pytest.param("file:///etc/passwd", BadQuery, "http or https only", marks=pytest.mark.bad_input(117)),
    pytest.param("gopher://prom/", BadQuery, "http or https only", marks=pytest.mark.bad_input(117)),
    pytest.param("unix:/run/docker.sock", BadQuery, "http or https only", marks=pytest.mark.bad_input(117)),
    ("javascript:alert(1)", BadQuery, "http or https only"),
    pytest.param(
        "http://169.254.169.254/latest/meta-data",
        NotAllowed,
        "the destination '169.254.169.254' is not allowed",
        marks=pytest.mark.bad_input(109),
    ),
    pytest.param("http://100.100.100.200/", NotAllowed, "not allowed", marks=pytest.mark.bad_input(115)),
    pytest.param("http://168.63.129.16/", NotAllowed, "not allowed", marks=pytest.mark.bad_input(115)),
    pytest.param("http://192.0.0.192/", NotAllowed, "not allowed", marks=pytest.mark.bad_input(115)),
    ("http://0.0.0.0/", NotAllowed, "not allowed"),
    pytest.param("http://[::ffff:a9fe:a9fe]/", NotAllowed, "not allowed", marks=pytest.mark.bad_input(114)),
    pytest.param("http://[64:ff9b::a9fe:a9fe]/", NotAllowed, "not allowed", marks=pytest.mark.bad_input(114)),
    ("http://[fe80::1]/", NotAllowed, "not allowed"),
    pytest.param("http://[fe80::1%25eth0]/", BadQuery, "without '%'", marks=pytest.mark.bad_input(114)),
    ("http://[fe80::1%eth0]/", BadQuery, "without '%'"),
    # every way but four decimal numbers of writing an IPv4 address
    pytest.param("http://2852039166/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)),
    pytest.param("http://0xA9FEA9FE/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)),
    ("http://0xa9.0xfe.0xa9.0xfe/", BadQuery, "IP literals are not allowed here"),
    pytest.param(
        "http://0251.0376.0251.0376/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)
    ),
    pytest.param(
        "http://169.254.43518/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)
    ),
    pytest.param("http://127.1/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)),
    pytest.param("http://0/", BadQuery, "IP literals are not allowed here", marks=pytest.mark.bad_input(110)),
    ("http://0x/", BadQuery, "IP literals are not allowed here"),
    ("http://169.254.169.254./", BadQuery, "IP literals are not allowed here"),
    ("http://1.2.3.4.5/", BadQuery, "IP literals are not allowed here"),
    ("http://256.256.256.256/", BadQuery, "IP literals are not allowed here"),
    pytest.param(
        "http://\u2460\u2461\u2466.0.0.1/", BadQuery, "ASCII", marks=pytest.mark.bad_input(111)
    ),  # circled digits
    pytest.param(
        "http://good\u3002com/", BadQuery, "ASCII", marks=pytest.mark.bad_input(111)
    ),  # an ideographic full stop
    ("http://127\uff0e0\uff0e0\uff0e1/", BadQuery, "ASCII"),  # full-width dots
    ("http://b\u00fccher.example/", BadQuery, "ASCII"),
    ("http://%31%36%39.254.169.254/", BadQuery, "without '%'"),
    pytest.param("http://good.com\\@169.254.169.254/", BadQuery, "backslash in URL", marks=pytest.mark.bad_input(112)),
    ("http:\\\\169.254.169.254/", BadQuery, "backslash in URL"),
    pytest.param(
        "http://user:pw@host/", BadQuery, "credentials in URL; use authentication", marks=pytest.mark.bad_input(113)
    ),
    ("http://token@host/", BadQuery, "credentials in URL; use authentication"),
    ("http://good.com#@169.254.169.254/", BadQuery, "fragment"),
    ("http://host/#x", BadQuery, "fragment"),
    ("http://good.com\t.evil/", BadQuery, "control character"),
    pytest.param("http://host/a\r\nX-Evil: 1", BadQuery, "line break", marks=pytest.mark.bad_input(119)),
    ("http://ho st/", BadQuery, "space"),
    (" http://host/", BadQuery, "space"),
    pytest.param("http://host:0/", BadQuery, "port must be 1 to 65535", marks=pytest.mark.bad_input(118)),
    pytest.param("http://host:70000/", BadQuery, "not a URL", marks=pytest.mark.bad_input(118)),
    ("http://host:port/", BadQuery, "not a URL"),
    ("http://:9090/", BadQuery, ""),
    ("http:///path", BadQuery, ""),
    ("http://[::1/", BadQuery, "not a URL"),
    ("http://[x]/", BadQuery, ""),
    pytest.param("http://host:22/", NotAllowed, "port 22 is not allowed", marks=pytest.mark.bad_input(118)),
    pytest.param("http://host:6379/", NotAllowed, "port 6379 is not allowed", marks=pytest.mark.bad_input(118)),
    ("http://host*/", BadQuery, "not a host name"),
    ("http://-/", BadQuery, "not a host name"),
]


@pytest.mark.parametrize(("text", "error", "message"), URLS)
def test_url(text: str, error: type[ProviderError] | None, message: str) -> None:
    if error is None:
        assert parse_url(text).raw_host
        return
    with pytest.raises(error) as caught:
        parse_url(text)
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert "pw" not in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://127.0.0.1:9090/", "the destination '127.0.0.1' is not allowed"),
        ("http://10.0.0.1:9090/", "the destination '10.0.0.1' is not allowed"),
        ("http://[::1]/", "the destination '::1' is not allowed"),
    ],
)
def test_literals_under_a_strict_policy(text: str, message: str) -> None:
    with pytest.raises(NotAllowed, match=message.replace(".", r"\.")) as caught:
        parse_url(text, "address", STRICT)
    assert caught.value.reason == "DestinationNotAllowed"


def test_listed_only() -> None:
    policy = AddressPolicy(listed_only=True, allowed_hosts=("prom.example",), ports=frozenset({443, 9090}))
    assert parse_url("https://prom.example/", "address", policy).raw_host == "prom.example"
    with pytest.raises(NotAllowed, match="not on the operator's list"):
        parse_url("https://other.example/", "address", policy)
    with pytest.raises(NotAllowed, match="port 8080"):
        parse_url("https://prom.example:8080/", "address", policy)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("X-Scope-OrgID", "team a", ""),
        ("Authorization", "Bearer x", ""),
        ("X-Umlaut", "b\u00fccher", ""),
        pytest.param("X-A", "a\r\nHost: evil", "line breaks and control characters", marks=pytest.mark.bad_input(119)),
        ("X-A", "a\nb", "line breaks and control characters"),
        ("X-A", "a\x00b", "line breaks and control characters"),
        ("X-A", "\ud800", "line breaks and control characters"),
        ("X A", "x", "letters, digits and - only"),
        ("", "x", "letters, digits and - only"),
        ("X-A\r\nHost", "x", "letters, digits and - only"),
        pytest.param("Host", "evil", "set by the connection", marks=pytest.mark.bad_input(120)),
        pytest.param("transfer-encoding", "chunked", "set by the connection", marks=pytest.mark.bad_input(120)),
        ("Content-Length", "0", "set by the connection"),
        ("Connection", "close", "set by the connection"),
        pytest.param("Metadata-Flavor", "Google", "set by the connection", marks=pytest.mark.bad_input(120)),
        ("Metadata", "true", "set by the connection"),
        ("X-aws-ec2-metadata-token", "x", "set by the connection"),
        ("Proxy-Authorization", "x", "set by the connection"),
    ],
)
def test_header_rules(name: str, value: str, problem: str) -> None:
    found = check_headers([(name, value)])
    assert [problem in text for text in found] == ([True] if problem else [])
    assert "evil" not in str(found)  # values are not echoed


def test_the_last_of_equal_headers_wins_whatever_its_case() -> None:
    merged = overlay_headers({"Content-Type": "a"}, [("content-type", "b"), ("CONTENT-TYPE", "c")])
    assert merged.getall("Content-Type") == ["c"]
