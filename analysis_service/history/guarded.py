"""A requests session for history: our address rules on the connected socket, one deadline, a cap on the body.

Nothing is taken from the environment (proxies, .netrc), no redirect is followed, and nothing is retried.
"""

import time
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

from providers.addresses import AddressPolicy
from providers.base import NotAllowed, TimedOut, TooLarge
from providers.destinations import not_allowed

MAX_BODY = 32 << 20
CHUNK = 64 << 10


class Deadline:
    """When the whole answer must be there; set anew for each request."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at = time.monotonic() + seconds

    def restart(self) -> None:
        self.at = time.monotonic() + self.seconds


def session(
    policy: AddressPolicy, deadline: Deadline, *, headers: Mapping[str, str], verify: bool | str
) -> requests.Session:
    """A session under the rules. Mount `adapter(policy)` again on whoever mounts an adapter of his own."""
    made = requests.Session()
    made.trust_env = False
    made.max_redirects = 0
    made.verify = verify
    made.headers.update({"Accept-Encoding": "identity", "User-Agent": "tidegate", **headers})
    made.hooks["response"].append(_reader(deadline))
    made.mount("http://", adapter(policy))
    made.mount("https://", adapter(policy))
    return made


def _reader(deadline: Deadline) -> Any:
    def read(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
        """Reads the body in pieces, so that neither its size nor its slowness is the server's choice."""
        pieces: list[bytes] = []
        size = 0
        while piece := response.raw.read1(CHUNK, decode_content=True):  # what has come, not a full piece of it
            size += len(piece)
            if size > MAX_BODY:
                response.close()
                raise TooLarge(f"more than {MAX_BODY >> 20} MiB of history in one answer; aggregate in the query")
            if time.monotonic() > deadline.at:
                response.close()
                raise TimedOut(f"no whole answer in {deadline.seconds:g}s (got {size} bytes)")
            pieces.append(piece)
        response._content = b"".join(pieces)
        response.raw.release_conn()
        return response

    return read


def adapter(policy: AddressPolicy) -> HTTPAdapter:
    """Judges the address that a socket is really connected to, before a byte leaves."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:
            return _judged(super()._new_conn(), self.host, policy)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> Any:
            return _judged(super()._new_conn(), self.host, policy)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    class Guarded(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    return Guarded(max_retries=Retry(0, read=False))


def _judged(sock: Any, host: str, policy: AddressPolicy) -> Any:
    peer = str(sock.getpeername()[0])
    if not policy.allows(peer, host):
        sock.close()
        raise Refused(host)
    return sock


class Refused(Exception):
    """A connection that the rules forbid; urllib3 passes it on untouched."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def error(self) -> NotAllowed:
        return not_allowed(self.host)
