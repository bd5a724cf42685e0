"""What a template may write as a URL and as headers.

One parser reads URLs: yarl, the one the HTTP client connects with. Two parsers that disagree about
`http://good.example\\@169.254.169.254/` are a way around any rule, so everything on which parsers are known to
differ is refused before parsing. Addresses are judged again when connecting (`addresses`, `http`).
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from multidict import CIMultiDict
from yarl import URL

from providers.addresses import OPEN, AddressPolicy
from providers.base import BadQuery, NotAllowed

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_NUMBER_LABEL = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_REFUSED_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive"}
    | {"metadata", "metadata-flavor", "x-google-metadata-request"}  # what a cloud's metadata service asks for
)
_REFUSED_PREFIXES = ("proxy-", "x-aws-", "x-ec2-")


def parse_url(text: str, what: str = "address", policy: AddressPolicy = OPEN) -> URL:
    """The URL that will be connected to.

    what: how the user calls the field, for messages. The text is echoed only where it can hold no secret.
    Raises BadQuery for a form we do not accept and NotAllowed for a host or port the policy refuses.
    """
    if "\\" in text:
        raise BadQuery(f"{what}: backslash in URL", reason="UrlForm")
    if _CONTROL.search(text):
        raise BadQuery(f"{what}: space, line break or control character in URL", reason="HeaderInjection")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        if separator or re.match(r"(?:file|gopher|unix|ftp|data|javascript|ldap|dict):", text, re.IGNORECASE):
            raise BadQuery(f"{what}: http or https only", reason="UrlScheme")
        raise BadQuery(f"{what} needs http:// or https://", reason="UrlScheme")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise BadQuery(f"{what}: credentials in URL; use authentication", reason="UrlCredentials")
    if "#" in rest:
        raise BadQuery(f"{what}: a fragment ('#...') is never sent; leave it out", reason="UrlForm")
    if not authority.isascii() or "%" in authority:
        raise BadQuery(f"{what}: write the host in ASCII (its xn-- form), without '%'", reason="HostForm")
    try:
        url = URL(text)
        host, port = url.raw_host, url.port
    except ValueError as error:
        raise BadQuery(f"{what} is not a URL: {_plain(error)}", reason="UrlForm") from None
    if not host:
        raise BadQuery(f"{what} has no host", reason="HostForm")
    if not port:
        raise BadQuery(f"{what}: port must be 1 to 65535", reason="UrlPort")
    _check_host(host, what)
    if policy.listed_only and not policy.lists(host):
        raise NotAllowed(f"{what}: the host '{host}' is not on the operator's list", reason="DestinationNotAllowed")
    if not policy.allows_port(port):
        raise NotAllowed(f"{what}: port {port} is not allowed here", reason="PortNotAllowed")
    if is_literal(host) and not policy.allows(host, host):
        raise not_allowed(host)
    return url


def not_allowed(host: str) -> NotAllowed:
    """The one sentence for a denied destination: it names the host and tells nothing about what it resolves to."""
    return NotAllowed(
        f"the destination '{host}' is not allowed by the address rules"
        " (link-local and cloud metadata addresses never are; others by the operator's list)",
        reason="DestinationNotAllowed",
    )


def is_literal(host: str) -> bool:
    """Whether a host is an address and not a name: such a host is never resolved."""
    if ":" in host:
        return True
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def check_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with headers that a template sets; empty if nothing. Values are never echoed."""
    problems = []
    for name, value in headers:
        if not _TOKEN.match(name):
            problems.append(f"header name {name[:40]!r} is not allowed: letters, digits and - only")
        elif _BAD_VALUE.search(value) or not _encodable(value):
            problems.append(f"header '{name}': line breaks and control characters are not allowed in a value")
        elif name.lower() in _REFUSED_HEADERS or name.lower().startswith(_REFUSED_PREFIXES):
            problems.append(f"header '{name}' is set by the connection and not by a template")
    return problems


def overlay_headers(headers: Mapping[str, str], configured: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """`headers` with `configured` written over them, names compared without case, the last of equals winning."""
    merged = CIMultiDict(headers)
    for name, value in configured:
        merged[name] = value
    return merged


def _check_host(host: str, what: str) -> None:
    if ":" in host:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise BadQuery(f"{what}: '{host[:80]}' is not an IPv6 address", reason="HostForm") from None
        return
    if _NUMBER_LABEL.match(host.rstrip(".").rpartition(".")[2]):
        # 2852039166, 0xA9FEA9FE, 0251.0376.0251.0376, 169.254.43518, 127.1: the resolver takes them all
        if not is_literal(host):
            raise BadQuery(
                f"{what}: '{host[:80]}' is not a host name, and IP literals are not allowed here in this form;"
                " write four decimal numbers (192.0.2.1) or a name",
                reason="HostForm",
            )
    elif not _HOST.match(host):
        raise BadQuery(f"{what}: '{host[:80]}' is not a host name", reason="HostForm")


def _encodable(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _plain(error: ValueError) -> str:
    """yarl's reason without the URL that some of its messages repeat."""
    text = str(error).splitlines()[0]
    return text if len(text) < 80 and "://" not in text else "it cannot be read"
