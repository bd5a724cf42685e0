"""Page and resume tokens: opaque, and bound to what they were made for, so that an altered or misplaced one is told.

A token is base64url(JSON payload + 12-byte MAC). The key is the store's own random id: a token of another store is
as good as forged, which is what a client has to be told anyway (list again).
"""

import base64
import binascii
import hashlib
import hmac

import msgspec


class BadToken(Exception):
    """Not a token of ours, altered, or made for another request."""


_MAC_BYTES = 12


def seal(key: str, purpose: str, payload: dict[str, str | int]) -> str:
    """purpose binds the token to the method and its filter."""
    body = msgspec.json.encode(payload)
    return base64.urlsafe_b64encode(body + _mac(key, purpose, body)).decode().rstrip("=")


def unseal(key: str, purpose: str, token: str) -> dict[str, str | int]:
    """The payload. Raises BadToken."""
    if len(token) > 4096:
        raise BadToken
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise BadToken from None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(key, purpose, body)):
        raise BadToken
    return msgspec.json.decode(body, type=dict[str, str | int])


def _mac(key: str, purpose: str, body: bytes) -> bytes:
    return hmac.digest(key.encode(), purpose.encode() + b"\0" + body, hashlib.sha256)[:_MAC_BYTES]
