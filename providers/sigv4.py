"""AWS Signature Version 4, as Amazon Managed Prometheus asks for it, and where its keys come from.

Source of the algorithm: AWS General Reference, "Signature Version 4 signing process".
"""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec
from yarl import URL

from providers.base import AuthFailed

REFRESH_SECONDS = 300.0  # keys of a chain or a role are looked up again after this time


class SigV4(msgspec.Struct, frozen=True, rename="camel"):
    region: str = ""
    profile: str = ""
    role_arn: str = ""


ABSENT = SigV4()


class Keys(msgspec.Struct, frozen=True):
    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def sign(
    method: str, url: URL, body: bytes, keys: Keys, region: str, service: str, now: datetime | None = None
) -> dict[str, str]:
    """The headers that make a request authentic: X-Amz-Date, Authorization and, for temporary keys, the token.

    now: the time of signing (AWS refuses one that is 5 minutes off); None is the wall clock.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    headers = {"host": url.raw_authority, "x-amz-date": stamp}
    if keys.session_token:
        headers["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        (
            method,
            quote(url.raw_path, safe="/-_.~"),  # every service but S3 signs the path encoded twice
            "&".join(sorted(f"{_quote(name)}={_quote(value)}" for name, value in url.query.items())),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = b"AWS4" + keys.secret_access_key.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    sent = {
        "X-Amz-Date": stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={keys.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}",
    }
    if keys.session_token:
        sent["X-Amz-Security-Token"] = keys.session_token
    return sent


class CredentialCache:
    """Keys and region of a `sigv4` block: the variables given, else the default AWS chain (extra `aws`)."""

    def __init__(self) -> None:
        self._found: dict[SigV4, tuple[Keys, str, float]] = {}

    async def find(self, spec: SigV4, env: Mapping[str, str]) -> tuple[Keys, str]:
        """Raises AuthFailed if there are no keys or no region."""
        region = spec.region or env.get("AWS_REGION", "") or env.get("AWS_DEFAULT_REGION", "")
        key_id, secret = env.get("AWS_ACCESS_KEY_ID", ""), env.get("AWS_SECRET_ACCESS_KEY", "")
        if key_id and secret and region and not spec.profile and not spec.role_arn:
            return Keys(key_id, secret, env.get("AWS_SESSION_TOKEN", "")), region
        found = self._found.get(spec)
        if found is None or found[2] < time.monotonic():
            keys, region = await asyncio.to_thread(_from_chain, spec, region)
            found = self._found[spec] = (keys, region, time.monotonic() + REFRESH_SECONDS)
        return found[0], found[1]


def _from_chain(spec: SigV4, region: str) -> tuple[Keys, str]:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session
    except ImportError:
        raise AuthFailed("sigv4: AWS profiles, roles and instance keys need the extra `aws`", reason="SigV4") from None
    try:
        session: Any = Session(profile=spec.profile or None)
        region = region or session.get_config_variable("region") or ""
        if not region:
            raise AuthFailed("sigv4: region is not configured", reason="SigV4")
        if spec.role_arn:
            sts = session.create_client("sts", region_name=region)
            given = sts.assume_role(RoleArn=spec.role_arn, RoleSessionName="tidegate")["Credentials"]
            return Keys(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]), region
        chain = session.get_credentials()
        if chain is None:
            raise AuthFailed("sigv4: no AWS credentials were found", reason="SigV4")
        frozen = chain.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token or ""), region
    except (BotoCoreError, ClientError) as error:
        raise AuthFailed(f"sigv4: {type(error).__name__} while looking for AWS credentials", reason="SigV4") from None


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
