"""Authentication on the wire: which header arrives, how often a token is asked for, what a signature is."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from yarl import URL

from providers.auth import Access, Authentication, Authenticator, BasicAuth, Header, OAuth2
from providers.base import AuthFailed, BadAnswer, NotAllowed, ProviderError, Unreachable
from providers.destinations import overlay_headers
from providers.http import Http, Request
from providers.sigv4 import CredentialCache, Keys, SigV4, sign

BASIC = BasicAuth("myuser", "mypassword")


async def headers_of(http: Http, backend: Any, access: Access, sender: Authenticator | None = None) -> dict[str, str]:
    request = Request(url=http.url(backend.url("echo")), who="Prometheus", headers={"X-Base": "1"})
    answer = await (sender or Authenticator(http)).send(request, access, http.deadline(5), {})
    return dict(json.loads(answer.body)["headers"])


@pytest.mark.parametrize(
    ("access", "authorization"),
    [
        (Access(), None),
        (Access(Authentication(basic_auth=BASIC)), "Basic bXl1c2VyOm15cGFzc3dvcmQ="),
        (Access(Authentication(bearer_token="t")), "Bearer t"),
        # a custom header beats basic auth
        (Access(Authentication(basic_auth=BASIC), (Header("authorization", "Custom x"),)), "Custom x"),
        (Access(headers=(Header("Authorization", "A"), Header("AUTHORIZATION", "B"))), "B"),
        # sigv4 signs for Amazon's hosts only
        (Access(Authentication(sigv4=SigV4(region="eu-west-1"), basic_auth=BASIC)), "Basic bXl1c2VyOm15cGFzc3dvcmQ="),
    ],
)
async def test_layers(http: Http, backend: Any, access: Access, authorization: str | None) -> None:
    sent = await headers_of(http, backend, access)
    found = {name.lower(): value for name, value in sent.items()}
    assert found.get("authorization") == authorization
    assert found["x-base"] == "1"
    assert sum(name.lower() == "authorization" for name in sent) == (authorization is not None)


def grant(token: str = "access-token-1", **more: Any) -> dict[str, Any]:
    return {"access_token": token, "token_type": "Bearer", "expires_in": 3599} | more


def oauth2(url: str, **more: Any) -> Access:
    made = OAuth2(url, "some id", "my+Secret", ("first", "second"))
    return Access(Authentication(oauth2=made), **more)


async def test_a_token_is_fetched_once(http: Http, backend: Any, response: Any) -> None:
    access = oauth2(backend.url(response(grant())))
    sender = Authenticator(http)
    seen = await asyncio.gather(*(headers_of(http, backend, access, sender) for _ in range(10)))
    assert {sent["Authorization"] for sent in seen} == {"Bearer access-token-1"}
    fetched = [one for one in backend.seen if one.target == "/0"]
    assert len(fetched) == 1
    assert parse_qs(fetched[0].body.decode()) == {"grant_type": ["client_credentials"], "scope": ["first second"]}
    assert fetched[0].headers["Authorization"] == "Basic c29tZStpZDpteSUyQlNlY3JldA=="  # both parts form-encoded


@pytest.mark.parametrize("expires_in", [None, 0, 20, "junk", -5])
async def test_a_token_without_a_life_is_not_kept(http: Http, backend: Any, response: Any, expires_in: Any) -> None:
    access = oauth2(backend.url(response(grant(expires_in=expires_in))))
    sender = Authenticator(http)
    for _ in range(2):
        await headers_of(http, backend, access, sender)
    assert sum(one.target == "/0" for one in backend.seen) == 2


async def test_two_clients_share_no_token(http: Http, backend: Any, response: Any) -> None:
    url = backend.url(response(grant()))
    sender = Authenticator(http)
    for secret in ("a-secret", "b-secret"):
        await headers_of(http, backend, Access(Authentication(oauth2=OAuth2(url, "id", secret))), sender)
    assert sum(one.target == "/0" for one in backend.seen) == 2


async def test_the_id_in_the_form_where_the_header_is_refused(http: Http, backend: Any, response: Any) -> None:
    async def form_only(seen: Any, writer: Any) -> None:
        writer.write(response(grant(expires_in=0)) if b"client_secret" in seen.body else response("no", 401))

    access = oauth2(backend.url(form_only))
    sender = Authenticator(http)
    for _ in range(2):
        sent = await headers_of(http, backend, access, sender)
        assert sent["Authorization"] == "Bearer access-token-1"
    asked = [one for one in backend.seen if one.target == "/0"]
    assert ["Authorization" in one.headers for one in asked] == [True, False, False]  # and that is remembered


async def test_a_revoked_token_is_replaced_once(http: Http, backend: Any, response: Any) -> None:
    valid = ["one"]

    async def tokens(seen: Any, writer: Any) -> None:
        writer.write(response(grant(valid[0])))

    async def api(seen: Any, writer: Any) -> None:
        writer.write(response("ok", 200 if seen.headers["Authorization"] == f"Bearer {valid[0]}" else 401))

    access, url, sender = oauth2(backend.url(tokens)), backend.url(api), Authenticator(http)

    async def ask() -> int:
        request = Request(url=http.url(url), who="Prometheus")
        return (await sender.send(request, access, http.deadline(5), {})).status

    assert await ask() == 200
    valid[0] = "two"
    assert await ask() == 200
    valid[0] = "\x7f"  # a token nobody can have
    with pytest.raises(BadAnswer):
        await ask()


@pytest.mark.parametrize(
    ("body", "status", "error", "message"),
    [
        ("", 401, AuthFailed, "no token was given, status 401"),
        ("the secret my+Secret is wrong", 400, AuthFailed, "no token was given, status 400"),
        ("oops", 500, Unreachable, "no token was given, status 500"),
        ("<html>", 200, BadAnswer, "the answer is not a JSON token"),
        ({}, 200, BadAnswer, "no usable access_token"),
        ({"access_token": "a\r\nHost: evil"}, 200, BadAnswer, "no usable access_token"),
        ({"access_token": 5}, 200, BadAnswer, "the answer is not a JSON token"),
    ],
)
async def test_no_token(
    http: Http, backend: Any, response: Any, body: Any, status: int, error: type[ProviderError], message: str
) -> None:
    access = oauth2(backend.url(response(body, status)))
    with pytest.raises(error) as caught:
        await headers_of(http, backend, access)
    assert message in str(caught.value)
    assert "my+Secret" not in str(caught.value)


async def test_the_token_endpoint_is_judged_too(http: Http, backend: Any) -> None:
    with pytest.raises(NotAllowed, match="169"):
        await headers_of(http, backend, oauth2("http://169.254.169.254/token"))
    assert backend.seen == []


@pytest.mark.parametrize(
    ("initial", "configured", "sent"),
    [
        ({"header1": "1"}, [("appended", "2")], {"header1": "1", "appended": "2"}),
        ({"header1": "1"}, [], {"header1": "1"}),
        ({"Header": "1"}, [("header", "2")], {"header": "2"}),
    ],
)
def test_overlay(initial: dict[str, str], configured: list[tuple[str, str]], sent: dict[str, str]) -> None:
    merged = overlay_headers(initial, configured)
    assert {name: merged[name] for name in sent} == sent
    assert len(merged) == len(sent)


def test_signature_of_the_published_example() -> None:
    """AWS General Reference, the GET iam ListUsers example: same key, scope and final signature.

    Its request also signs content-type, so that only the key derivation is common; the rest is held by botocore.
    """
    import hashlib
    import hmac

    key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    for part in ("20150830", "us-east-1", "iam", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    assert hashlib.sha256(b"").hexdigest().startswith("e3b0c44298fc1c14")


@pytest.mark.requires("botocore")
@pytest.mark.parametrize("token", ["", "session/token=="])
@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query", b"query=up&time=1"),
        ("GET", "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query?query=a%2Bb&time=1", b""),
        ("GET", "https://aps-workspaces.eu-west-1.amazonaws.com/a%20b/%C3%BC?b=2&a=1&a=0", b""),
        ("POST", "https://aps-workspaces.eu-west-1.amazonaws.com:8443/x", b"\xff"),
    ],
)
def test_signatures_agree_with_botocore(method: str, url: str, body: bytes, token: str) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    theirs = AWSRequest(method=method, url=url, data=body)
    SigV4Auth(Credentials("AKIDEXAMPLE", "secretkey", token or None), "aps", "eu-west-1").add_auth(theirs)
    at = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = sign(method, URL(url), body, Keys("AKIDEXAMPLE", "secretkey", token), "eu-west-1", "aps", at)
    assert ours["Authorization"] == theirs.headers["Authorization"]


async def test_keys_from_the_environment() -> None:
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}
    assert await CredentialCache().find(SigV4(role_arn=""), env) == (Keys("a", "b"), "eu-west-1")
    assert (await CredentialCache().find(SigV4(region="us-east-1"), env))[1] == "us-east-1"


async def test_a_signed_request_on_the_wire(backend: Any) -> None:
    async def lookup(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    http = Http(lookup=lookup)
    url = backend.url("echo").replace("127.0.0.1", "aps-workspaces.eu-west-1.test")
    access = Access(Authentication(sigv4=SigV4(region="eu-west-1")), (Header("X-Own", "1"),))
    env = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secretkey"}
    answer = await Authenticator(http).send(Request(url=http.url(url), who="P"), access, http.deadline(5), env)
    await http.close()
    sent = json.loads(answer.body)["headers"]
    assert sent["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "SignedHeaders=host;x-amz-date," in sent["Authorization"]  # custom headers are not signed
    assert sent["X-Own"] == "1"
