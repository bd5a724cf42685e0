"""Takes secrets out of text that people will read: errors, warnings, values, log lines.

A secret shows up in more forms than its own: inside a URL it is percent-encoded, inside JSON it is escaped, inside an
`Authorization: Basic` header it is base64, where its first character may fall on any of three places.
"""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

from providers.base import ProviderError

SHORTEST = 6  # a shorter secret would blot out half of every sentence
MASK = "[redacted]"


class Redactor:
    """Replaces every form of the given secrets: `Redactor(secrets)(text)`."""

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets if len(secret) >= SHORTEST for form in forms(secret)}
        # the longest first: a form may be a part of another one
        ordered = sorted(found, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text


def masked(error: ProviderError, secrets: Iterable[str]) -> ProviderError:
    """The error itself, its message and metadata without the secrets: a server may have repeated them."""
    redact = Redactor(secrets)
    error.args = (redact(str(error)),)
    error.metadata = {name: redact(text) for name, text in error.metadata.items()}
    return error


def forms(secret: str) -> set[str]:
    """How a secret may look in text: raw, URL (two ways), JSON (two ways), base64 (three offsets, two alphabets)."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = {
        secret,
        quote(secret, safe="", errors="replace"),
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }
    found |= {re.sub(r"%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in tuple(found)}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode()
        # a character holds 6 bits: drop those that also hold bits of what stands before and after
        core = encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        if len(core) >= SHORTEST:
            found |= {core, core.replace("+", "-").replace("/", "_")}
    return found
