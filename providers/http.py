"""The one place that sends a request to a metrics backend.

It promises: the whole answer within one deadline (waiting for a place, resolving, connecting, a body that drips), a
body no larger than its cap before and after decompression, no redirect followed, no proxy taken from the environment
unless asked, no connection to an address the operator's policy denies (judged when a name resolves and again on
the connected socket, before a byte of the request leaves), and errors that are sentences without secrets.
It does not retry: the engine does. The one exception is a kept connection that the server had already closed: what
was sent on it is sent once more.
"""

import asyncio
import errno
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from providers import limits
from providers.addresses import OPEN, AddressPolicy
from providers.base import BadAnswer, NotAllowed, ProviderError, Throttled, TimedOut, TooLarge, Unreachable
from providers.destinations import is_literal, not_allowed, parse_url
from providers.redact import Redactor
from providers.tls import LONGEST_PROBE, VERIFIED, Contexts, Tls, explain

Lookup = Callable[[str, int], Awaitable[list[str]]]
"""Resolves a host name to addresses in text form. Raises OSError if it cannot."""

_opened: ContextVar[bool] = ContextVar("opened", default=False)
"""Whether the request this task sends opened its connection: `aiohttp` does not tell, short of tracing each step."""

_LONGEST_PATH = 120  # characters of it in a message
KEEP_ALIVE = 30.0  # seconds an idle connection is kept: longer than most intervals, shorter than most servers' limit


class Request(msgspec.Struct, frozen=True):
    """One request. `url` comes from `Http.url`, which has judged it.

    who: the backend's name in messages ("Prometheus").
    concurrency: requests at once to this origin; further ones wait within their deadline.
    secrets: what must not appear in any error of this request.
    replay: the request may be sent again if a kept connection turns out to be closed (a query changes nothing).
    """

    url: URL
    who: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    tls: Tls = VERIFIED
    concurrency: int = 8
    max_bytes: int = limits.MAX_BODY
    secrets: tuple[str, ...] = ()
    replay: bool = True

    @property
    def where(self) -> str:
        """The backend as messages name it: its kind and origin."""
        return f"{self.who} at {self.url.scheme}://{self.url.raw_authority}"

    @property
    def asked(self) -> str:
        """As `Response.asked`."""
        return _asked(self.url, self.secrets)


class Response(msgspec.Struct, frozen=True):
    """A whole answer of any status but a redirect or 429. Header names compare without case.

    secrets: those of the request, for a provider that quotes the body in an error. url: what was asked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...] = ()
    url: URL | None = None

    @property
    def asked(self) -> str:
        """` (asked http://prom:9090/api/v1/query)`, to end the message of a status with; "" if nothing was asked."""
        return _asked(self.url, self.secrets) if self.url is not None else ""

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; "" if there is none."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Http:
    """The process's HTTP client: one session, its pool and its per-origin places. Made in one loop, used there."""

    def __init__(
        self,
        *,
        policy: AddressPolicy = OPEN,
        lookup: Lookup | None = None,
        trust_env: bool = False,
        ca_pem: str = "",
    ) -> None:
        """lookup: resolves names, for all connections. ca_pem: trusted besides the system's certificates."""
        self.policy = policy
        self._lookup = lookup or system_lookup
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: weakref.WeakValueDictionary[tuple[str, str, int], asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self._contexts = Contexts(ca_pem)
        self._parse = lru_cache(maxsize=1024)(parse_url)

    def url(self, text: str, what: str = "address") -> URL:
        """The URL a template wrote, judged by the rules. Raises BadQuery or NotAllowed (see `destinations`)."""
        return self._parse(text, what, self.policy)

    def deadline(self, seconds: float) -> float:
        """The moment on the loop's clock, `seconds` from now, that all requests of one question share."""
        return self._running().time() + seconds

    async def send(self, request: Request, deadline: float) -> Response:
        """One request, one whole answer before `deadline` (from `Http.deadline`).

        Raises Unreachable, TimedOut, Throttled (429), TooLarge, NotAllowed (a denied address, a redirect) or
        BadAnswer (not HTTP, undecodable). Every other status is a Response: what it means is the provider's.
        """
        loop = self._running()
        received = limits.Received(request.max_bytes)
        started = loop.time()
        try:
            if started >= deadline:
                raise TimeoutError
            async with asyncio.timeout_at(deadline), self._place(request):
                return await self._exchange(request, received)
        except TimeoutError:
            seconds = max(deadline - started, 0)
            got = f" (got {received})" if received.count else ""
            answer = "no whole answer" if received.count else "no answer"
            raise TimedOut(f"{request.where}: {answer} in {seconds:.3g}s{got}", reason="Timeout") from None
        except ProviderError:
            raise
        except aiohttp.ClientConnectorCertificateError as error:
            left = min(max(deadline - loop.time(), 0), LONGEST_PROBE)
            problem = await explain(request.url, error.certificate_error, self._addresses, left)
            raise Unreachable(f"{request.where}: {problem}", reason="TlsCertificate") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _explain(request, received, error) from None

    async def close(self) -> None:
        """Closes all connections. The client may be used again; it opens new ones then."""
        session, self._session, self._loop = self._session, None, None
        if session is not None:
            await session.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()  # a system call each time
        return self._loop

    def _place(self, request: Request) -> asyncio.Semaphore:
        url = request.url
        key = (url.scheme, url.raw_authority, request.concurrency)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = asyncio.Semaphore(request.concurrency)
        return place

    async def _exchange(self, request: Request, received: limits.Received) -> Response:
        session = self._session or self._open()
        again = request.replay
        while True:
            _opened.set(False)
            try:
                answer = await session.request(
                    request.method,
                    request.url,
                    # made here: looking up how to send bytes costs more than sending them
                    data=None if request.body is None else aiohttp.BytesPayload(request.body),
                    headers=request.headers,
                    allow_redirects=False,
                    ssl=self._contexts.get(request.tls, self.policy.allow_insecure_tls),
                )
                break
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # a connection that was kept and that the server closed meanwhile; nothing was answered on it
                if not again or _opened.get() or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                again = False
        try:
            if 300 <= answer.status < 400 and "Location" in answer.headers:
                raise _redirected(request, answer.headers["Location"])
            if answer.status == 429:
                raise Throttled(
                    f"{request.where}: too many requests (429){request.asked}",
                    retry_after_seconds=limits.retry_after_seconds(answer.headers),
                )
            content = answer.content
            received.expect(answer.headers)
            while not content.at_eof():
                received.add(await content.readany())
            return Response(answer.status, answer.headers, received.body(), request.secrets, request.url)
        except limits.OverCap as error:
            raise TooLarge(f"{request.where}: {error}") from None
        except limits.Undecodable as error:
            raise BadAnswer(f"{request.where}: {error}", reason="Malformed") from None
        finally:
            answer.close() if not answer.content.at_eof() else answer.release()

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=_GuardedConnector(self.policy, self._addresses),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # aiohttp would inflate without a cap
            trust_env=self._trust_env,
            timeout=aiohttp.ClientTimeout(total=None),  # `send` holds the deadline, for all steps at once
            headers={"User-Agent": "tidegate", "Accept-Encoding": "identity"},
        )
        # its own repetition of a GET would also repeat what a fresh connection refused, and hide it from us
        self._session._retry_connection = False
        return self._session

    async def _addresses(self, host: str, port: int) -> list[str]:
        """Where a host may be reached. One denied address denies the name: a mixed answer is a rebinding attempt."""
        found = [host] if is_literal(host) else await self._lookup(host, port)
        if not all(self.policy.allows(address, host) for address in found):
            raise not_allowed(host)
        return found


async def system_lookup(host: str, port: int) -> list[str]:
    """The operating system's resolver."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


class _GuardedResolver(AbstractResolver):
    def __init__(self, addresses: Lookup) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._addresses(host, port)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        return None


class _GuardedConnector(aiohttp.TCPConnector):
    """Judges what it connects to: literals before, names through the resolver, and the peer of the socket after."""

    def __init__(self, policy: AddressPolicy, addresses: Lookup) -> None:
        # the semaphores limit how much runs at once; a second limit here could only deadlock with them
        super().__init__(limit=0, keepalive_timeout=KEEP_ALIVE, resolver=_GuardedResolver(addresses))
        self._policy = policy

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        host = (req.proxy or req.url).raw_host or ""
        if is_literal(host) and not self._policy.allows(host, host):
            raise not_allowed(host)
        _opened.set(True)
        protocol = await super()._create_connection(req, traces, timeout)
        peer = protocol.transport.get_extra_info("peername") if protocol.transport else None
        if peer is None or not self._policy.allows(str(peer[0]), host):
            protocol.close()
            raise not_allowed(host)
        return protocol


def _asked(url: URL, secrets: tuple[str, ...]) -> str:
    """Which of a host's many pages answered so. Never the query, which is where keys are written; a long path is left
    out whole, for a part of a secret would not be recognised as one."""
    path = Redactor(secrets)(url.raw_path)
    return f" (asked {url.scheme}://{url.raw_authority}{path if len(path) <= _LONGEST_PATH else '/...'})"


def _redirected(request: Request, location: str) -> NotAllowed:
    try:
        target = URL(location).raw_host or "another path of the same host"
    except ValueError:
        target = "a place that is no URL"
    return NotAllowed(
        f"{request.where}: redirects are not followed (to {target}); write the final address{request.asked}",
        reason="RedirectRefused",
    )


def _explain(request: Request, received: limits.Received, error: Exception) -> ProviderError:
    """The failure in the user's words. Nothing of the client's own text is used: it may hold URLs and keys."""
    where = request.where
    match error:
        case aiohttp.ClientConnectorDNSError():
            unknown = isinstance(error.os_error, socket.gaierror) and error.os_error.errno in _NO_SUCH_NAME
            problem = "no such host" if unknown else "the name could not be resolved"
            return Unreachable(f"{where}: {problem}", reason="ProviderDown")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return Unreachable(f"{where}: TLS handshake failed; is it plain HTTP there?", reason="TlsHandshake")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionResetError):
            problem = "the connection was closed during the TLS handshake"
            return Unreachable(f"{where}: {problem}", reason="TlsHandshake")
        case aiohttp.ClientConnectorError():
            refused = error.os_error.errno == errno.ECONNREFUSED or "refused" in str(error.os_error).lower()
            problem = "connection refused" if refused else "cannot be reached"
            return Unreachable(f"{where}: {problem}", reason="ProviderDown")
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError() if received.begun:
            return Unreachable(f"{where}: answer cut at {received}", reason="ProviderDown")
        case aiohttp.ClientConnectionError() | OSError():
            return Unreachable(f"{where}: the connection was closed without an answer", reason="ProviderDown")
        case aiohttp.ClientPayloadError():
            return BadAnswer(f"{where}: the answer's encoding is broken", reason="Malformed")
        case aiohttp.ClientResponseError():
            detail = Redactor(request.secrets)(str(error.message).splitlines()[0][:60]) if error.message else ""
            return BadAnswer(f"{where}: the answer is not HTTP ({detail.strip(' :,')})", reason="Malformed")
    return BadAnswer(f"{where}: the answer is not HTTP", reason="Malformed")


_NO_SUCH_NAME = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL)
