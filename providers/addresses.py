"""Which network addresses a request may go to. Pure: an address and the operator's policy in, a verdict out.

`ipaddress.is_private` and `is_global` are no guard: cloud metadata lives on addresses they call public
(100.100.100.200, 168.63.129.16, 192.0.0.192), and IPv6 can wrap an IPv4 address in seven ways. So the table is our
own: RFC 6890 and its registries, the clouds' metadata addresses, and every wrapping undone before judging.

* never      unspecified, link-local, multicast, reserved, documentation, cloud metadata: no policy allows them
* loopback   by the policy
* private    by the policy
* public     always
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address


class Kind(Enum):
    NEVER = "never"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"


NOT_FOR_METRICS = frozenset(
    {1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 110, 111, 119, 135, 137, 139, 143, 161, 179}
    | {389, 445, 465, 512, 513, 514, 515, 587, 636, 873, 993, 995, 1433, 1521, 2049, 2375, 2379, 2380, 3306, 3389}
    | {5432, 5672, 5900, 6379, 6667, 11211, 27017}
)
"""Ports of services that speak no HTTP or that answer HTTP only to take orders: refused unless listed."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """The operator's rules. The defaults are open: right for the command line and the demo, not for a shared service.

    allowed_hosts: names (`prom.example`), suffixes (`*.svc.cluster.local`), addresses or networks (`10.0.0.0/8`)
        that may be private or loopback whatever the two flags say.
    listed_only: a host that is not in `allowed_hosts` is refused.
    ports: the only ports allowed; None means every port that may serve metrics.
    """

    allow_private: bool = True
    allow_loopback: bool = True
    allowed_hosts: tuple[str, ...] = ()
    listed_only: bool = False
    ports: frozenset[int] | None = None
    allow_insecure_tls: bool = True

    def lists(self, host: str) -> bool:
        """Whether `allowed_hosts` names this host (a name or an address in text form)."""
        host = host.lower().rstrip(".")
        return any(_matches(host, pattern) for pattern in self.allowed_hosts)

    def allows_port(self, port: int) -> bool:
        return port not in NOT_FOR_METRICS if self.ports is None else port in self.ports

    def allows(self, address: str, host: str) -> bool:
        """Whether a connection made for `host` may go to `address` (text form; a zone such as %eth0 is ignored)."""
        kind = kind_of(address)
        if kind is Kind.NEVER:
            return False
        if self.lists(host) or self.lists(address):
            return True
        if self.listed_only:
            return False
        return kind is Kind.PUBLIC or (self.allow_loopback if kind is Kind.LOOPBACK else self.allow_private)


OPEN = AddressPolicy()


def kind_of(address: str | Address) -> Kind:
    """The worst kind among an address and everything wrapped in it. Text that is no address is NEVER."""
    if isinstance(address, str):
        try:
            address = ip_address(address.partition("%")[0])
        except ValueError:
            return Kind.NEVER
    kinds = {_table(found) for found in unwrap(address)}
    return next(kind for kind in Kind if kind in kinds)


def unwrap(address: Address) -> Iterator[Address]:
    """The address and every IPv4 address that a router, a tunnel or the kernel would take out of it."""
    yield address
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    low = IPv4Address(number & 0xFFFFFFFF)
    if any(address in network for network in _LOW_32_BITS) and number > 1:
        yield low
    if address in _SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~number & 0xFFFFFFFF)
    if number >> 32 & 0xFDFFFFFF == 0x00005EFE:  # ISATAP, with or without the universal bit
        yield low


def _table(address: Address) -> Kind:
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4 if address in network), Kind.PUBLIC)
    return next((kind for network, kind in _V6 if address in network), Kind.PUBLIC)


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower().rstrip(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    if host == pattern:
        return True
    try:
        return ip_address(host.partition("%")[0]) in ip_network(pattern)
    except ValueError:
        return False


# Order matters: the first network that holds the address decides.
_V4 = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", Kind.NEVER),  # "this network"; Linux connects 0.0.0.0 to loopback
        ("169.254.0.0/16", Kind.NEVER),  # link-local: AWS, GCP, Azure, OpenStack, ECS metadata
        ("100.100.100.200/32", Kind.NEVER),  # Alibaba metadata
        ("168.63.129.16/32", Kind.NEVER),  # Azure wire server
        ("192.0.0.0/24", Kind.NEVER),  # IETF protocol assignments; Oracle metadata is .192
        ("192.0.2.0/24", Kind.NEVER),  # documentation
        ("198.51.100.0/24", Kind.NEVER),
        ("203.0.113.0/24", Kind.NEVER),
        ("192.88.99.0/24", Kind.NEVER),  # 6to4 relays
        ("224.0.0.0/4", Kind.NEVER),  # multicast
        ("240.0.0.0/4", Kind.NEVER),  # reserved, broadcast
        ("127.0.0.0/8", Kind.LOOPBACK),
        ("10.0.0.0/8", Kind.PRIVATE),
        ("172.16.0.0/12", Kind.PRIVATE),
        ("192.168.0.0/16", Kind.PRIVATE),
        ("100.64.0.0/10", Kind.PRIVATE),  # carrier NAT; pods of some clusters live here
        ("198.18.0.0/15", Kind.PRIVATE),  # benchmarking; some meshes use it
    )
)
_V6 = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::1/128", Kind.LOOPBACK),
        ("::/128", Kind.NEVER),
        ("fe80::/10", Kind.NEVER),  # link-local
        ("fec0::/10", Kind.NEVER),  # site-local, deprecated
        ("ff00::/8", Kind.NEVER),  # multicast
        ("fd00:ec2::/32", Kind.NEVER),  # AWS metadata, DNS, time, pod identity
        ("fd20:ce::/64", Kind.NEVER),  # GCP metadata
        ("fd00:c1::/64", Kind.NEVER),  # Oracle metadata
        ("fd00:42::/64", Kind.NEVER),  # Scaleway metadata
        ("100::/64", Kind.NEVER),  # discard
        ("2001:2::/48", Kind.NEVER),  # benchmarking
        ("2001:10::/28", Kind.NEVER),  # ORCHID
        ("2001:20::/28", Kind.NEVER),  # ORCHIDv2
        ("2001:db8::/32", Kind.NEVER),  # documentation
        ("3fff::/20", Kind.NEVER),  # documentation
        ("5f00::/16", Kind.NEVER),  # segment routing
        ("fc00::/7", Kind.PRIVATE),
        ("64:ff9b:1::/48", Kind.PRIVATE),  # local NAT64
    )
)
_LOW_32_BITS = tuple(
    IPv6Network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (SIIT)
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local prefix
    )
)
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
