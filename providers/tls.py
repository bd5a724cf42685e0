"""TLS: which certificates are trusted, and what is wrong with the one a server showed."""

import asyncio
import contextlib
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from yarl import URL

from providers.base import BadQuery, NotAllowed

_KEPT = 64
LONGEST_PROBE = 2.0  # seconds


class Tls(msgspec.Struct, frozen=True):
    """insecure: accept any certificate. ca_pem: trust these certificates instead of the system's."""

    insecure: bool = False
    ca_pem: str = ""


VERIFIED = Tls()


class Contexts:
    """Making a context reads the trust store (milliseconds): each is made once."""

    def __init__(self, extra_pem: str = "") -> None:
        self._extra_pem = extra_pem
        self._made: OrderedDict[Tls, ssl.SSLContext] = OrderedDict()

    def get(self, tls: Tls, allow_insecure: bool) -> ssl.SSLContext | bool:
        """What aiohttp takes as `ssl`. Raises NotAllowed if the operator forbids `insecure`, BadQuery for a bad CA."""
        if tls.insecure:
            if not allow_insecure:
                raise NotAllowed("insecure: true is not allowed here", reason="InsecureTlsNotAllowed")
            return False
        if not tls.ca_pem and not self._extra_pem:
            return True
        context = self._made.get(tls)
        if context is None:
            try:
                context = ssl.create_default_context(cadata=tls.ca_pem or None)
                if not tls.ca_pem:
                    context.load_verify_locations(cadata=self._extra_pem)
            except (ssl.SSLError, ValueError):
                raise BadQuery("the CA bundle is not a list of PEM certificates", reason="CaBundle") from None
            self._made[tls] = context
            if len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return context


Addresses = Callable[[str, int], Awaitable[list[str]]]


async def explain(url: URL, error: Exception, addresses: Addresses, seconds: float) -> str:
    """A refused certificate in a sentence. For one that has expired, says when: the server is asked once more
    (for at most `seconds`), without sending anything, because a failed handshake does not show the certificate.
    """
    code = getattr(error, "verify_code", 0)
    host = url.raw_host or ""
    match code:
        case 9 | 10:
            verb = "has expired" if code == 10 else "is not valid yet"
            dates = await _dates(host, url.port or 443, addresses, seconds)
            return f"TLS certificate {verb}{dates}"
        case 18:
            return "TLS certificate is self-signed"
        case 19 | 20 | 21:
            return "TLS certificate is signed by an authority that is not trusted here"
        case 62 | 64:
            return f"TLS certificate is for another host than '{host}'"
    return "TLS certificate is not accepted"


async def _dates(host: str, port: int, addresses: Addresses, seconds: float) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(seconds):
            address = (await addresses(host, port))[0]
            _, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=host)
            try:
                der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            finally:
                writer.transport.abort()
        from cryptography import x509  # only here: a whole library for one sentence

        certificate = x509.load_der_x509_certificate(der)
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return f" (valid {first:%Y-%m-%d} to {last:%Y-%m-%d})"
    return ""
