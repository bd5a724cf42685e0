"""An HTTP client that remembers what providers send, and one that only remembers: nothing of it leaves the process.

So that what is shown is the request itself, authentication included, and not a second idea of it; for every provider,
also those of third parties.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from analysis_service.cli.show import lines, one_line
from analysis_service.core.secret_arguments import MASK
from providers.addresses import AddressPolicy
from providers.http import Http, Request, Response
from providers.redact import Redactor

_FORM = "application/x-www-form-urlencoded"
_SECRET_HEADERS = ("auth", "token", "key", "secret", "cookie", "password", "credential", "session")
_MAX_BODY = 64 * 1024  # characters of a body that are shown


@dataclass(slots=True)
class Exchange:
    """One request and what came back; None if nothing did."""

    request: Request
    response: Response | None = None


class NotSent(Exception):
    """The request is known; sending it is not wanted."""


class Recording(Http):
    """Sends, and remembers."""

    def __init__(self, policy: AddressPolicy) -> None:
        super().__init__(policy=policy)
        self.exchanges: list[Exchange] = []

    async def send(self, request: Request, deadline: float) -> Response:
        exchange = Exchange(request)
        self.exchanges.append(exchange)
        exchange.response = await super().send(request, deadline)
        return exchange.response


class Rehearsal(Http):
    """Remembers, and sends nothing. A request for an OAuth2 token is answered, so that the next one comes."""

    def __init__(self, policy: AddressPolicy) -> None:
        super().__init__(policy=policy)
        self.exchanges: list[Exchange] = []

    async def send(self, request: Request, deadline: float) -> Response:
        if request.who.startswith("OAuth2"):
            return Response(200, {}, b'{"access_token":"token"}')
        self.exchanges.append(Exchange(request))
        raise NotSent


@dataclass(frozen=True, slots=True)
class Mask:
    """Takes secrets out of whatever is shown of an exchange."""

    secrets: Sequence[str] = field(default=())

    def headers(self, request: Request) -> dict[str, str]:
        return {
            name: MASK if any(word in name.lower() for word in _SECRET_HEADERS) else self.text(request, value)
            for name, value in request.headers.items()
        }

    def text(self, request: Request, text: str) -> str:
        """Of a request, or of what came back: its own credentials are secrets too."""
        return self._short(Redactor([*self.secrets, *request.secrets])(text)).replace("[redacted]", MASK)

    def plain(self, text: str) -> str:
        return self._short(Redactor(self.secrets)(text)).replace("[redacted]", MASK)

    def _short(self, text: str) -> str:
        """Secrets too short for a redactor, which fears for the rest of the sentence: here nothing may pass."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, MASK) if secret else text
        return text


def request_data(exchange: Exchange, mask: Mask) -> dict[str, Any]:
    """For programs: the body as text, and as values where it is a form or JSON."""
    request = exchange.request
    body = mask.text(request, (request.body or b"").decode("utf-8", "replace"))
    data: dict[str, Any] = {
        "method": request.method,
        "url": mask.text(request, str(request.url)),
        "headers": mask.headers(request),
        "body": body,
    }
    if fields := _fields(request):
        data["form"] = {name: mask.text(request, value) for name, value in fields}
    return data


def response_data(exchange: Exchange, mask: Mask) -> dict[str, Any] | None:
    response = exchange.response
    if response is None:
        return None
    body = mask.text(exchange.request, response.body[: 4 * _MAX_BODY].decode("utf-8", "replace"))
    return {"status": response.status, "contentType": response.content_type, "body": body[:_MAX_BODY]}


def request_lines(exchange: Exchange, mask: Mask) -> list[tuple[str, str]]:
    """For people: (label, text), the body unfolded where it is a form or JSON."""
    request = exchange.request
    made = [("request", f"{request.method} {one_line(mask.text(request, str(request.url.with_query(None))))}")]
    made += [("  " + one_line(n), lines(mask.text(request, v))) for n, v in request.url.query.items()]
    made += [(f"  {one_line(name)}:", one_line(value)) for name, value in mask.headers(request).items()]
    if fields := _fields(request):
        made += [("  " + one_line(name), lines(mask.text(request, value))) for name, value in fields]
    elif request.body:
        made.append(("  body", lines(mask.text(request, _unfolded(request.body)))))
    return made


def _fields(request: Request) -> list[tuple[str, str]]:
    kind = next((v for k, v in request.headers.items() if k.lower() == "content-type"), "")
    if not request.body or not kind.startswith(_FORM):
        return []
    return parse_qsl(request.body.decode("ascii", "replace"), keep_blank_values=True)


def _unfolded(body: bytes) -> str:
    try:
        return msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")


class StandIns:
    """Secrets for a rehearsal: the real ones where they can be had, else something of the right shape."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.read_values: list[str] = []
        self.missing: list[str] = []

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        from analysis_service.secrets import SecretError

        try:
            found: Mapping[str, str] = await self._real.read(namespace, name)
        except SecretError:
            self.missing.append(name)
            return {"api-key": MASK, "app-key": MASK, "personal-api-key": MASK, "account-id": "0"}
        self.read_values += [found[key] for key in found if "key" in key.lower() or "token" in key.lower()]
        return found
