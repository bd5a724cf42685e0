"""Authentication as Argo's templates write it, put on a request in Argo's order.

From the wire outward: the headers a template sets (they overwrite everything), basic auth (only where nothing
authenticated before), SigV4, OAuth2. So a custom Authorization header wins, and custom headers are not signed.
Argo fetches an OAuth2 token for every measurement; here a token is kept until shortly before it expires, and
a refused one is replaced once.
"""

import asyncio
import base64
import hashlib
import os
import re
import weakref
from collections.abc import Mapping
from http.client import responses
from urllib.parse import quote_plus, urlencode

import msgspec

from providers import sigv4
from providers.base import AuthFailed, BadAnswer, Unreachable
from providers.destinations import check_headers, overlay_headers
from providers.http import Http, Request, Response
from providers.sigv4 import SigV4

EARLY = 30.0  # seconds before its end at which a token counts as expired
_KEPT_TOKENS = 1024
_PROCESS_KEY = os.urandom(32)  # fingerprints of secrets mean nothing outside this process
_SECRET_HEADER = re.compile(r"auth|token|key|secret|cookie|password|credential|session", re.IGNORECASE)


class BasicAuth(msgspec.Struct, frozen=True):
    username: str = ""
    password: str = ""


class OAuth2(msgspec.Struct, frozen=True, rename="camel"):
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scopes: tuple[str, ...] = ()


class Authentication(msgspec.Struct, frozen=True, rename="camel"):
    """The `authentication` block. `bearer_token` is ours; the rest is Argo's. Empty parts count as absent."""

    sigv4: SigV4 = SigV4()
    oauth2: OAuth2 = OAuth2()
    basic_auth: BasicAuth = BasicAuth()
    bearer_token: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything of it that no message may show."""
        basic = self.basic_auth
        pair = base64.b64encode(f"{basic.username}:{basic.password}".encode()).decode() if basic.password else ""
        return tuple(filter(None, (basic.password, pair, self.oauth2.client_secret, self.bearer_token)))


NONE = Authentication()


class Header(msgspec.Struct, frozen=True):
    key: str
    value: str


class Access(msgspec.Struct, frozen=True):
    """How one metric reaches its backend: authentication and custom headers."""

    authentication: Authentication = NONE
    headers: tuple[Header, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.authentication.secrets + tuple(h.value for h in self.headers if _SECRET_HEADER.search(h.key))

    @property
    def fingerprint(self) -> str:
        """Equal for equal credentials within this process, and tells nothing about them. "" if there are none."""
        if self == ANYONE:
            return ""
        return hashlib.blake2b(msgspec.json.encode(self), key=_PROCESS_KEY, digest_size=16).hexdigest()

    def check(self) -> list[str]:
        """What is wrong with it; empty if nothing. The first two sentences are Argo's."""
        problems = []
        basic, oauth2 = self.authentication.basic_auth, self.authentication.oauth2
        for name, value, other in (
            ("username", basic.username, basic.password),
            ("password", basic.password, basic.username),
        ):
            if other and not value:
                problems.append(f"missing mandatory parameter in metric for basic auth setup: {name}")
        if oauth2.token_url and not (oauth2.client_id and oauth2.client_secret):
            problems.append("missing mandatory parameter in metric for OAuth2 setup")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in self.authentication.bearer_token):
            problems.append("authentication.bearerToken: line breaks and control characters are not allowed")
        return problems + check_headers((header.key, header.value) for header in self.headers)


ANYONE = Access()


class _Token(msgspec.Struct, frozen=True):
    value: str
    expires: float  # on the loop's clock


class _Grant(msgspec.Struct):
    access_token: str = ""
    expires_in: float | str | None = None


_grant = msgspec.json.Decoder(_Grant)


class Authenticator:
    """Sends requests under a metric's authentication. Holds tokens, nothing of any run."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._tokens: dict[OAuth2, _Token] = {}
        self._fetching: weakref.WeakValueDictionary[OAuth2, asyncio.Lock] = weakref.WeakValueDictionary()
        self._in_body: set[tuple[str, str]] = set()  # token endpoints that want the client id in the form
        self._aws = sigv4.CredentialCache()

    async def send(self, request: Request, access: Access, deadline: float, env: Mapping[str, str]) -> Response:
        """`Http.send` with every layer applied. Raises what it raises, AuthFailed if there are no credentials."""
        if access == ANYONE:
            return await self._http.send(request, deadline)
        oauth2 = access.authentication.oauth2
        if not oauth2.token_url:
            return await self._http.send(await self._dress(request, access, None, env), deadline)
        token, fresh = await self._token(oauth2, deadline)
        answer = await self._http.send(await self._dress(request, access, token, env), deadline)
        if answer.status == 401 and not fresh:
            # revoked before its time; Argo, which keeps no token, would not have seen this
            self._forget(oauth2, token)
            token, _ = await self._token(oauth2, deadline)
            answer = await self._http.send(await self._dress(request, access, token, env), deadline)
        return answer

    async def headers(
        self, request: Request, access: Access, deadline: float, env: Mapping[str, str]
    ) -> Mapping[str, str]:
        """The headers that `send` would send, for a request that somebody else sends. Raises as `send` does."""
        oauth2 = access.authentication.oauth2
        token = (await self._token(oauth2, deadline))[0] if oauth2.token_url else None
        return (await self._dress(request, access, token, env)).headers

    async def _dress(self, request: Request, access: Access, token: str | None, env: Mapping[str, str]) -> Request:
        authentication, basic = access.authentication, access.authentication.basic_auth
        headers = overlay_headers(request.headers, ())
        secrets = request.secrets + access.secrets
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
            secrets += (token,)
        if authentication.sigv4 != sigv4.ABSENT and "aps-workspaces" in (request.url.raw_host or ""):
            keys, region = await self._aws.find(authentication.sigv4, env)
            headers.update(sigv4.sign(request.method, request.url, request.body or b"", keys, region, "aps"))
            secrets += (keys.secret_access_key, keys.session_token)
        if basic.username and "Authorization" not in headers:
            pair = base64.b64encode(f"{basic.username}:{basic.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        if authentication.bearer_token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {authentication.bearer_token}"
        headers = overlay_headers(headers, ((header.key, header.value) for header in access.headers))
        return msgspec.structs.replace(request, headers=headers, secrets=secrets)

    async def _token(self, oauth2: OAuth2, deadline: float) -> tuple[str, bool]:
        """The token, and whether it was fetched just now. One fetch at a time for one client."""
        if (token := self._valid(oauth2)) is not None:
            return token, False
        lock = self._fetching.get(oauth2)
        if lock is None:
            lock = self._fetching[oauth2] = asyncio.Lock()
        async with lock:
            if (token := self._valid(oauth2)) is not None:
                return token, True
            grant = await self._fetch(oauth2, deadline)
            if (lifetime := _lifetime(grant)) > EARLY:
                if len(self._tokens) >= _KEPT_TOKENS:
                    self._tokens.clear()
                self._tokens[oauth2] = _Token(grant.access_token, self._http.deadline(lifetime - EARLY))
            return grant.access_token, True

    def _valid(self, oauth2: OAuth2) -> str | None:
        token = self._tokens.get(oauth2)
        return token.value if token is not None and token.expires > self._http.deadline(0) else None

    def _forget(self, oauth2: OAuth2, token: str) -> None:
        kept = self._tokens.get(oauth2)
        if kept is not None and kept.value == token:
            del self._tokens[oauth2]

    async def _fetch(self, oauth2: OAuth2, deadline: float) -> _Grant:
        """Client credentials (RFC 6749, 4.4): the id in a Basic header, or in the form where that is refused."""
        endpoint = (oauth2.token_url, oauth2.client_id)
        answer = await self._ask(oauth2, deadline, endpoint in self._in_body)
        if answer.status in (400, 401) and endpoint not in self._in_body:
            second = await self._ask(oauth2, deadline, True)
            if second.status == 200:
                self._in_body.add(endpoint)
                answer = second
        where = (
            f"OAuth2 token endpoint at {self._http.url(oauth2.token_url, 'authentication.oauth2.tokenUrl').origin()}"
        )
        if answer.status != 200:
            said = f"{answer.status} {responses.get(answer.status, '')}".strip()
            # the first words are those of the library Argo asks with
            message = f"oauth2: cannot fetch token: {said} ({where}: no token was given, status {answer.status})"
            # 5xx: the endpoint is down, and asking again may help; all else is about the credentials
            raise (
                Unreachable(message, reason="OAuth2") if answer.status >= 500 else AuthFailed(message, reason="OAuth2")
            )
        try:
            grant = _grant.decode(answer.body)
        except (msgspec.DecodeError, RecursionError, ValueError):
            raise BadAnswer(f"{where}: the answer is not a JSON token", reason="OAuth2") from None
        if not grant.access_token or not grant.access_token.isascii() or not grant.access_token.isprintable():
            raise BadAnswer(f"{where}: the answer has no usable access_token", reason="OAuth2")
        return grant

    async def _ask(self, oauth2: OAuth2, deadline: float, in_body: bool) -> Response:
        form = {"grant_type": "client_credentials"}
        if oauth2.scopes:
            form["scope"] = " ".join(oauth2.scopes)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        pair = base64.b64encode(f"{quote_plus(oauth2.client_id)}:{quote_plus(oauth2.client_secret)}".encode()).decode()
        if in_body:
            form |= {"client_id": oauth2.client_id, "client_secret": oauth2.client_secret}
        else:
            headers["Authorization"] = f"Basic {pair}"
        return await self._http.send(
            Request(
                url=self._http.url(oauth2.token_url, "authentication.oauth2.tokenUrl"),
                who="OAuth2 token endpoint",
                method="POST",
                headers=headers,
                body=urlencode(form).encode(),
                concurrency=2,
                max_bytes=64 * 1024,
                secrets=(oauth2.client_secret, pair),
                replay=False,
            ),
            deadline,
        )


def _lifetime(grant: _Grant) -> float:
    try:
        return float(grant.expires_in or 0)
    except ValueError:
        return 0.0
