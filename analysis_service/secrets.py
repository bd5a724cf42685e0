"""Where secrets come from: Kubernetes, files, the environment. Which of them is the operator's choice.

A template only ever names a secret; what it may name is limited to the run's own namespace (and, where Argo does
so, the controller's). Values are read at the moment of use and kept nowhere.

* SecretError
  - SecretForbidden     the name reaches outside of the namespace, or the service may not read it: the caller's move
  - SecretsUnreachable  where secrets are kept does not answer: try again
"""

import base64
import binascii
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_SECRET_BYTES = 1 << 20  # Kubernetes' own limit for a Secret
TIMEOUT_SECONDS = 5.0
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class SecretError(Exception):
    """A secret cannot be had; the text names it and never shows content."""


class SecretForbidden(SecretError):
    """Not this run's to read."""


class SecretsUnreachable(SecretError):
    """Nobody can tell now what the secret is."""


class SecretSource(Protocol):
    async def find(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """All keys of one secret, or None if this source has none of that name. Both are plain names."""
        ...

    async def close(self) -> None: ...


class Secrets:
    """Asks its sources in order; the first that knows the secret answers."""

    def __init__(self, sources: Sequence[SecretSource]) -> None:
        self._sources = tuple(sources)

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        """Raises SecretError('secrets "n" not found'), in Argo's words, or one of its kinds."""
        if "/" in name:
            raise SecretForbidden(
                f'secrets "{name[:80]}" is outside of namespace "{namespace}"; name a secret of this namespace'
            )
        if _NAME.fullmatch(name) and _NAMESPACE.fullmatch(namespace):
            for source in self._sources:
                found = await source.find(namespace, name)
                if found is not None:
                    return found
        raise SecretError(f'secrets "{name[:253]}" not found')

    async def close(self) -> None:
        for source in self._sources:
            await source.close()


class EnvironmentSecrets:
    """TIDEGATE_SECRET_<NAME>__<KEY>=value, letters upper-cased and other characters written as `_`.

    Not bound to a namespace: for the command line and for single-team services.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def find(self, namespace: str, name: str) -> Mapping[str, str] | None:
        prefix = f"TIDEGATE_SECRET_{_env_name(name)}__"
        found = {k[len(prefix) :]: v for k, v in self._environ.items() if k.startswith(prefix)}
        return _KeyByEnvName(found) if found else None

    async def close(self) -> None:
        return None


class _KeyByEnvName(dict[str, str]):
    """Lets `api-key` find API_KEY: the environment cannot spell the key as the template does."""

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and super().__contains__(_env_name(key))

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(_env_name(key))

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        return super().get(_env_name(key), default)


def _env_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()


class FileSecrets:
    """A folder as Kubernetes mounts it: <root>/<namespace>/<name>/<key>, or <root>/<name>/<key> for one team.

    A line break at the very end of a file is not part of the value: editors put it there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def find(self, namespace: str, name: str) -> Mapping[str, str] | None:
        for folder in (self._root / namespace / name, self._root / name):
            try:
                found = {file.name: _content(file) for file in sorted(folder.iterdir()) if _is_key(file)}
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError:
                raise SecretForbidden(f'secrets "{name}" is forbidden: the service may not read its files') from None
            except OSError as error:
                raise SecretsUnreachable(f'secrets "{name}" cannot be read: {error.strerror}') from None
            if found:  # a folder without files may be a namespace of this name
                return found
        return None

    async def close(self) -> None:
        return None


def _is_key(file: Path) -> bool:
    return not file.name.startswith(".") and file.is_file()


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(MAX_SECRET_BYTES).decode("utf-8", "replace").removesuffix("\n")


class _SecretObject(msgspec.Struct):
    data: dict[str, str] | None = None


class KubernetesSecrets:
    """The cluster's Secrets, read with this pod's own service account, one GET per use."""

    def __init__(self, base_url: str, token_file: Path, ca_file: Path | None) -> None:
        self._base_url = base_url.rstrip("/")
        self._token_file = token_file
        self._ssl = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def in_cluster(
        cls, environ: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT
    ) -> "KubernetesSecrets | None":
        """What a pod is given, or None outside of a cluster."""
        host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").exists():
            return None
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", account / "token", account / "ca.crt")

    async def find(self, namespace: str, name: str) -> Mapping[str, str] | None:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        url = f"{self._base_url}/api/v1/namespaces/{namespace}/secrets/{name}"
        try:
            # The token file is rotated by the kubelet: read it each time.
            headers = {"Authorization": f"Bearer {self._token_file.read_text().strip()}", "Accept": "application/json"}
            async with self._session.get(
                url, headers=headers, ssl=self._ssl or True, allow_redirects=False
            ) as response:
                if response.status == 404:
                    return None
                if response.status in (401, 403):
                    raise SecretForbidden(f'secrets "{name}" is forbidden: the service account may not read it')
                if response.status != 200:
                    raise SecretsUnreachable(f'secrets "{name}": the cluster answered {response.status}')
                return _decoded(name, await _body(name, response.content))
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise SecretsUnreachable(f'secrets "{name}": the cluster cannot be reached') from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


async def _body(name: str, stream: aiohttp.StreamReader) -> bytes:
    parts, size = [], 0
    async for part in stream.iter_any():
        parts.append(part)
        size += len(part)
        if size > 2 * MAX_SECRET_BYTES:  # base64 and the object around it
            raise SecretsUnreachable(f'secrets "{name}": the cluster answered more than a Secret can hold')
    return b"".join(parts)


def _decoded(name: str, body: bytes) -> Mapping[str, str]:
    """The content never shows in an error."""
    try:
        data = msgspec.json.decode(body, type=_SecretObject).data or {}
        return {key: base64.b64decode(value, validate=True).decode("utf-8", "replace") for key, value in data.items()}
    except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
        raise SecretsUnreachable(f'secrets "{name}": the cluster answered something that is no Secret') from None
