"""Where secrets come from: the environment, files as Kubernetes mounts them, and the cluster's own API."""

import base64
import os
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from analysis_service.secrets import (
    EnvironmentSecrets,
    FileSecrets,
    KubernetesSecrets,
    SecretError,
    SecretForbidden,
    Secrets,
    SecretsUnreachable,
)

HUSH = "hush-hush-0123456789"


# the environment


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("dd", "api-key", "1"),
        ("my.app-secret", "token", "2"),  # dots and dashes are underscores
        ("dd", "app.key", None),
        ("d", "api-key", None),  # a prefix of a name is another name
    ],
)
async def test_the_environment(name: str, key: str, value: str | None) -> None:
    source = EnvironmentSecrets({
        "TIDEGATE_SECRET_DD__API_KEY": "1", "TIDEGATE_SECRET_MY_APP_SECRET__TOKEN": "2", "DD__APP_KEY": "3",
        "TIDEGATE_SECRET_DDX__APP_KEY": "4",
    })  # fmt: skip
    found = await source.find("any", name) or {}
    assert found.get(key) == value
    assert (key in found) is (value is not None)


# files


def write(root: Path, path: str, content: bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("team", "dd", {"api-key": "own"}),  # of the namespace, before one for all
        ("other", "dd", {"api-key": "shared"}),
        ("team", "lines", {"a": "x", "b": "x\n"}),  # the last line break is the editor's
        ("team", "mounted", {"k": "linked"}),  # a mount's links are followed, its own folders are no keys
        ("team", "team", None),  # the folder of a namespace is no secret
        ("team", "absent", None),
        ("team", "file", None),
    ],
)
async def test_files(tmp_path: Path, namespace: str, name: str, expected: Mapping[str, str] | None) -> None:
    write(tmp_path, "team/dd/api-key", b"own")
    write(tmp_path, "dd/api-key", b"shared")
    write(tmp_path, "team/lines/a", b"x\n")
    write(tmp_path, "team/lines/b", b"x\n\n")
    write(tmp_path, "team/mounted/..2026/k", b"linked")
    (tmp_path / "team/mounted/..data").symlink_to("..2026")
    (tmp_path / "team/mounted/k").symlink_to("..data/k")
    write(tmp_path, "file", b"x")
    assert await FileSecrets(tmp_path).find(namespace, name) == expected


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(user)


async def test_a_file_that_may_not_be_read(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    write(tmp_path, "dd/key", HUSH.encode())
    (tmp_path / "dd" / "key").chmod(0)
    request.getfixturevalue("powerless")
    with pytest.raises(SecretForbidden, match="may not read"):
        await FileSecrets(tmp_path).find("team", "dd")


@pytest.mark.parametrize(
    ("namespace", "name", "error", "text"),
    [
        ("team", "absent", SecretError, 'secrets "absent" not found'),
        ("team", "other/dd", SecretForbidden, 'outside of namespace "team"'),
        ("team", "../dd", SecretForbidden, "outside"),
        ("team", "..", SecretError, "not found"),
        ("team", "DD", SecretError, "not found"),
        ("team", "a" * 10_000, SecretError, "not found"),
        ("..", "dd", SecretError, "not found"),
        ("", "dd", SecretError, "not found"),
    ],
)
async def test_names_stay_within_their_namespace(
    tmp_path: Path, namespace: str, name: str, error: type[Exception], text: str
) -> None:
    write(tmp_path.parent, "dd/key", b"of the folder above")
    secrets = Secrets([EnvironmentSecrets({}), FileSecrets(tmp_path)])
    with pytest.raises(error, match=text) as caught:
        await secrets.read(namespace, name)
    assert len(str(caught.value)) < 400


async def test_the_first_source_that_knows_it_answers(tmp_path: Path) -> None:
    write(tmp_path, "dd/k", b"file")
    secrets = Secrets([EnvironmentSecrets({"TIDEGATE_SECRET_DD__K": "environment"}), FileSecrets(tmp_path)])
    assert (await secrets.read("team", "dd"))["k"] == "environment"
    assert (await Secrets([EnvironmentSecrets({}), FileSecrets(tmp_path)]).read("team", "dd"))["k"] == "file"
    await secrets.close()


# the cluster


@dataclass
class Cluster:
    """Speaks the shape of the Kubernetes API for secrets; `answers` maps a path to (status, body)."""

    address: str = ""
    token: str = "first"
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"kind": "Status", "status": "Failure", "reason": "Unauthorized"}, status=401)
        status, body = self.answers.get(request.path, (404, {"kind": "Status", "reason": "NotFound"}))
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, content_type="application/json")
        return web.json_response(body, status=status)


def a_secret(**data: bytes) -> dict[str, Any]:
    return {"kind": "Secret", "apiVersion": "v1", "type": "Opaque", "metadata": {"name": "dd"},
            "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}  # fmt: skip


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    app = web.Application()
    app.router.add_get("/{path:.*}", cluster.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    cluster.address = f"http://{host}:{port}"
    yield cluster
    await runner.cleanup()


@pytest.fixture
async def kubernetes(cluster: Cluster, tmp_path: Path) -> AsyncIterator[KubernetesSecrets]:
    (tmp_path / "token").write_text("first\n")
    source = KubernetesSecrets(cluster.address, tmp_path / "token", None)
    yield source
    await source.close()


DD = "/api/v1/namespaces/team/secrets/dd"


async def test_a_secret_of_the_cluster(cluster: Cluster, kubernetes: KubernetesSecrets) -> None:
    cluster.answers[DD] = (200, a_secret(key=HUSH.encode(), binary=b"\xff", line=b"x\n"))
    found = await kubernetes.find("team", "dd")
    assert found == {"key": HUSH, "binary": "\N{REPLACEMENT CHARACTER}", "line": "x\n"}
    assert await kubernetes.find("other", "dd") is None
    assert cluster.asked == [DD, DD.replace("team", "other")]


async def test_a_large_secret_arrives_whole(cluster: Cluster, kubernetes: KubernetesSecrets) -> None:
    value = os.urandom(300_000).hex().encode()  # many packets
    cluster.answers[DD] = (200, a_secret(key=value))
    found = await kubernetes.find("team", "dd")
    assert found is not None
    assert found["key"].encode() == value


async def test_a_rotated_token_is_read_again(cluster: Cluster, kubernetes: KubernetesSecrets, tmp_path: Path) -> None:
    cluster.answers[DD] = (200, a_secret(key=b"x"))
    assert await kubernetes.find("team", "dd")
    cluster.token = "second"
    with pytest.raises(SecretForbidden):
        await kubernetes.find("team", "dd")
    (tmp_path / "token").write_text("second")
    assert await kubernetes.find("team", "dd")


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((403, {"kind": "Status", "reason": "Forbidden", "message": HUSH}), SecretForbidden, "may not read it"),
        ((500, {"message": HUSH}), SecretsUnreachable, "the cluster answered 500"),
        ((302, {"message": HUSH}), SecretsUnreachable, "the cluster answered 302"),
        ((200, b"<html>" + HUSH.encode()), SecretsUnreachable, "no Secret"),
        ((200, {"data": {"key": HUSH + "!"}}), SecretsUnreachable, "no Secret"),  # not base64
        ((200, {"data": [HUSH]}), SecretsUnreachable, "no Secret"),
        ((200, b'{"data": {"key": "' + b"A" * 3_000_000 + b'"}}'), SecretsUnreachable, "more than a Secret can hold"),
    ],
)
async def test_what_the_cluster_may_answer(
    cluster: Cluster, kubernetes: KubernetesSecrets, answer: tuple[int, Any], error: type[Exception], text: str
) -> None:
    cluster.answers[DD] = answer
    with pytest.raises(error, match=text) as caught:
        await kubernetes.find("team", "dd")
    # not even a log with the whole story of the error shows content
    assert HUSH not in "".join(traceback.format_exception(caught.value))


async def test_a_secret_without_data_has_no_keys(cluster: Cluster, kubernetes: KubernetesSecrets) -> None:
    cluster.answers[DD] = (200, {"kind": "Secret", "data": None})
    assert await kubernetes.find("team", "dd") == {}


async def test_a_cluster_that_is_not_there(tmp_path: Path, unused: Callable[[], int]) -> None:
    (tmp_path / "token").write_text("t")
    source = KubernetesSecrets(f"http://127.0.0.1:{unused()}", tmp_path / "token", None)
    with pytest.raises(SecretsUnreachable, match="cannot be reached"):
        await source.find("team", "dd")
    (tmp_path / "token").unlink()
    with pytest.raises(SecretsUnreachable, match="cannot be reached"):
        await source.find("team", "dd")
    await source.close()


@pytest.fixture
def unused() -> Callable[[], int]:
    import socket

    def port() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return port


@pytest.mark.parametrize(
    ("environ", "account", "expected"),
    [
        ({}, True, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, True, "https://10.0.0.1:6443"),
        ({"KUBERNETES_SERVICE_HOST": "fd00::1"}, True, "https://[fd00::1]:443"),
    ],
)
def test_only_a_pod_has_a_cluster(tmp_path: Path, environ: dict[str, str], account: bool, expected: str | None) -> None:
    import certifi

    if account:
        (tmp_path / "token").write_text("t")
        (tmp_path / "ca.crt").write_text(Path(certifi.where()).read_text())
    found = KubernetesSecrets.in_cluster(environ, tmp_path)
    assert (found._base_url if found else None) == expected
