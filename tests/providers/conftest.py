"""Backends for provider tests: a real Prometheus, and a server that misbehaves in every way over real sockets."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers.base import AuthFailed, Context
from providers.http import Http
from providers.tools import Tools

NOW = datetime(2024, 1, 1, 1, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """A request as the server saw it."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int  # which connection it came on: 0, 1, ...


Behaviour = bytes | Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes | str | object = b"", status: int = 200, **headers: str) -> bytes:
    """A whole HTTP response. A body that is not text is written as JSON. `content_type=...` sets that header."""
    if not isinstance(body, bytes | str):
        body = json.dumps(body)
        headers = {"content_type": "application/json"} | headers
    raw = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in ({"Content-Length": str(len(raw))} | named).items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def api(result: object, kind: str = "vector", **more: object) -> bytes:
    """A success of the Prometheus API."""
    return answer({"status": "success", "data": {"resultType": kind, "result": result}} | more)


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST and not FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
    writer.transport.abort()


async def close(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def close_hard(seen: Seen, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def silence(seen: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def headers_then_silence(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.sleep(30)


async def drip(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def drip_headers(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def cut(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n" + b"x" * 512)
    await writer.drain()
    writer.close()


async def cut_hard(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2048\r\n\r\n" + b"x" * 512)
    await writer.drain()
    await asyncio.sleep(0.05)  # let it arrive: a reset may overtake what was sent
    reset(writer)


async def cut_chunk(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 512)
    await writer.drain()
    writer.close()


async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """50 MiB, chunked, nothing announced. Stops when the client has gone."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(800):
        if writer.is_closing():
            return
        writer.write(chunk)
        await writer.drain()


async def until_close(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + api([[0, "1"]])[-10:])
    await writer.drain()
    writer.close()


async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer({"method": seen.method, "target": seen.target, "headers": dict(seen.headers)}))


async def gzip_bomb(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """200 MiB of zeros in 200 KB. After a full flush every MiB packs to the same bytes, so one is enough to make."""
    packer = zlib.compressobj(9, wbits=31)
    first, each = (packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    packed = first + each * 199
    writer.write(answer(packed, content_encoding="gzip"))


_ONE = json.dumps(
    {
        "status": "success",
        "data": {"resultType": "vector", "result": [{"metric": {"pod": "a"}, "value": [1704070800, "1"]}]},
    }
).encode()
_RAW_DEFLATE = zlib.compressobj(wbits=-15)

BEHAVIOURS: dict[str, Behaviour] = {
    "ok": answer(_ONE, content_type="application/json"),
    "close": close,
    "close hard": close_hard,
    "silence": silence,
    "headers then silence": headers_then_silence,
    "drip": drip,
    "drip headers": drip_headers,
    "cut": cut,
    "cut hard": cut_hard,
    "cut chunk": cut_chunk,
    "endless": endless,
    "echo": echo,
    "announced": b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n{",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}abc",
    "gzip": answer(gzip.compress(_ONE), content_encoding="gzip"),
    "gzip members": answer(gzip.compress(_ONE[:50]) + gzip.compress(_ONE[50:]), content_encoding="gzip"),
    "gzip bomb": gzip_bomb,
    "gzip cut": answer(gzip.compress(_ONE)[:-12], content_encoding="gzip"),
    "gzip garbage": answer(b"this is no gzip", content_encoding="gzip"),
    "deflate": answer(zlib.compress(_ONE), content_encoding="deflate"),
    "deflate raw": answer(_RAW_DEFLATE.compress(_ONE) + _RAW_DEFLATE.flush(), content_encoding="deflate"),
    "brotli": answer(b"\x0b\x02\x80", content_encoding="br"),
    "http/0.9": b"<html>hello</html>",
    "garbage": b"\x00\x01\x02\x03\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(20_000)) + b"\r\n",
    "redirect": answer(status=302, Location="http://169.254.169.254/latest/meta-data?token=abcdef"),
    "redirect https": answer(status=301, Location="https://elsewhere.example/api/v1/query"),
    "redirect 307": answer(status=307, Location="/login"),
    "redirect 308": answer(status=308, Location="//[bad"),
    "html": answer("<html><body>Sign in</body></html>", content_type="text/html; charset=utf-8"),
    "empty": answer(content_type="application/json"),
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "deep": answer(b"[" * 200_000, content_type="application/json"),
    "deep data": answer(b'{"status":"success","x":' + b"[" * 200_000, content_type="application/json"),
    "bad utf-8": answer(b'{"status":"success\xff"}', content_type="application/json"),
    "utf-16": answer(_ONE.decode().encode("utf-16"), content_type="application/json"),
    "half json": answer(_ONE[:40], content_type="application/json"),
    "other json": answer({"hello": "world"}),
    "list json": answer([1, 2]),
    "429": answer(status=429, Retry_After="17"),
    "401": answer("the token s3cr3t-token is unknown", status=401),
    "403": answer("forbidden", status=403),
    "404": answer("404 page not found", status=404),
    "418": answer("teapot", status=418),
    "300": answer(status=300),
    "500": answer("oops", status=500),
    "502": answer("<html>bad gateway</html>", status=502, content_type="text/html"),
    "503": answer({"status": "error", "errorType": "timeout", "error": "query timed out"}, status=503),
}


_NUMBERED = re.compile(r"/(\d+)(?:[/?]|\Z)")


class Backend:
    """Serves behaviours, each under a path of its own: `url("drip")`, `url(answer({...}))`."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.port = port
        self.origin = f"{scheme}://127.0.0.1:{port}"
        self.seen: list[Seen] = []
        self._behaviours: list[Behaviour] = []
        self.connections = 0

    def url(self, behaviour: str | Behaviour) -> str:
        self._behaviours.append(BEHAVIOURS[behaviour] if isinstance(behaviour, str) else behaviour)
        return f"{self.origin}/{len(self._behaviours) - 1}"

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        try:
            while (seen := await _read(reader, writer, number)) is not None:
                self.seen.append(seen)
                found = _NUMBERED.search(seen.target)
                assert found, seen.target
                behaviour = self._behaviours[int(found[1])]
                if isinstance(behaviour, bytes):
                    writer.write(behaviour)
                    if not behaviour.startswith(b"HTTP/1.1"):
                        break
                else:
                    await behaviour(seen, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> Seen | None:
    head = await reader.read(1)
    if head == b"\x16":  # a TLS handshake where plain HTTP is spoken: most servers say so in plain HTTP
        await reader.read(65536)
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        return None
    while not head.endswith(b"\r\n\r\n"):
        line = await reader.readline()
        if not line:
            return None
        head += line
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ", 2)
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("Content-Length", "0")))
    return Seen(method, target, headers, body, connection)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with _serving() as found:
        yield found


@asynccontextmanager
async def _serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Backend]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.CancelledError):
            await found.connected(reader, writer)
        tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    found = Backend(server.sockets[0].getsockname()[1], "https" if context else "http")
    try:
        yield found
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)


@dataclass(frozen=True)
class Certificate:
    """chain: what the server shows, in one PEM file with its key. ca: whom to trust for it."""

    chain: Path
    ca: str


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Certificate]:
    """good, expired, early (not valid yet), elsewhere (for another host): by one CA; self-signed: by itself."""
    folder = tmp_path_factory.mktemp("certificates")
    today = datetime.now(UTC)
    day = dt.timedelta(days=1)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("test CA", ca_key, "test CA", ca_key, today - day, today + 30 * day, is_ca=True)
    ca_pem = ca.public_bytes(serialization.Encoding.PEM).decode()
    made = {}
    for name, host, first, last in (
        ("good", "127.0.0.1", today - day, today + 30 * day),
        ("expired", "127.0.0.1", datetime(2019, 12, 1, tzinfo=UTC), datetime(2020, 1, 31, tzinfo=UTC)),
        ("early", "127.0.0.1", today + 20 * day, today + 30 * day),
        ("elsewhere", "192.0.2.9", today - day, today + 30 * day),
        ("self-signed", "127.0.0.1", today - day, today + 30 * day),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        issuer, issuer_key = (name, key) if name == "self-signed" else ("test CA", ca_key)
        found = _certificate(name, key, issuer, issuer_key, first, last, host=host)
        path = folder / f"{name}.pem"
        path.write_bytes(
            found.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        made[name] = Certificate(path, ca_pem)
    return made


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    first: datetime,
    last: datetime,
    host: str = "",
    is_ca: bool = False,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if host:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture
def tls_backend(certificates: Mapping[str, Certificate]) -> Callable[[str], AbstractAsyncContextManager[Backend]]:
    """`async with tls_backend("expired") as backend`."""

    def make(name: str) -> AbstractAsyncContextManager[Backend]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates[name].chain)
        return _serving(context)

    return make


@pytest.fixture
def refused_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue is full: the kernel drops every further connection attempt without a word."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class NoSecrets:
    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        raise AuthFailed(f'secrets "{name}" not found')


def make_context(seconds: float = 5.0, at: datetime = NOW, **more: Any) -> Context:
    return Context(at=at, namespace="default", secrets=NoSecrets(), deadline_seconds=seconds, **more)


@pytest.fixture
def context() -> Callable[..., Context]:
    """`context(seconds, env=...)`: what a provider may know, at the start of 2024."""
    return make_context


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    client = Http()
    yield client
    await client.close()


@pytest.fixture
def tools(http: Http) -> Tools:
    """Times are ISO text here; the condition language has tests of its own."""
    return Tools(http, lambda text, now: now if text == "now()" else datetime.fromisoformat(text))


@pytest.fixture(scope="session")
def response() -> Callable[..., bytes]:
    """`response(body, status, Header=...)`: a raw HTTP answer for `backend.url`."""
    return answer


@pytest.fixture(scope="session")
def api_answer() -> Callable[..., bytes]:
    """`api_answer(result, "matrix", warnings=[...])`: a success of the Prometheus API for `backend.url`."""
    return api


@dataclass
class RealPrometheus:
    """A running server. Its clock is the wall's; its data are what the test gave it."""

    process: subprocess.Popen[str]
    port: int
    command: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send(self, what: signal.Signals) -> None:
        self.process.send_signal(what)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def start_prometheus(program: str, folder: Path, config: str, *arguments: str, port: int = 0) -> RealPrometheus:
    """Starts a server on a free port and waits until it is ready."""
    (folder / "prometheus.yml").write_text(config)
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
        *arguments,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    seen, listening, ready = [], False, False
    for line in process.stderr:
        seen.append(line)
        if match := re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', line):
            port, listening = int(match[1]), True
        ready = ready or "Server is ready to receive web requests" in line
        if listening and ready:  # said in either order
            threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
            return RealPrometheus(process, port, command)
    process.wait()
    raise AssertionError("Prometheus did not start:\n" + "".join(seen[-20:]))


SERIES = """\
# TYPE requests counter
requests_total{pod="a",code="200"} %(a)d %(t)d
requests_total{pod="b",code="200"} %(b)d %(t)d
# TYPE oddity gauge
oddity{kind="nan"} NaN %(t)d
oddity{kind="inf"} +Inf %(t)d
# TYPE ratio gauge
ratio 0.0834 %(t)d
"""


@pytest.fixture(scope="session")
def series(server_path: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of two hours from midnight of 2024: `requests_total` of two pods grows by 60 and 120 a minute."""
    folder = tmp_path_factory.mktemp("series")
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    by_name: dict[str, list[str]] = {}
    for minute in range(121):
        text = SERIES % {"a": 60 * minute, "b": 120 * minute, "t": start + 60 * minute}
        for line in text.splitlines():
            by_name.setdefault(re.split(r"[{ ]", line)[2 if line.startswith("#") else 0], []).append(line)
    lines = []
    for name in ("requests", "oddity", "ratio"):
        lines.append(f"# TYPE {name} {'counter' if name == 'requests' else 'gauge'}")
        for key, found in by_name.items():
            if key.removesuffix("_total") == name:
                lines += [line for line in found if not line.startswith("#")]
    (folder / "series.txt").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(
        [server_path("promtool"), "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="session")
def prometheus(server_path: Callable[[str], str], series: Path) -> Iterator[RealPrometheus]:
    """The data of `series` behind a real server."""
    server = start_prometheus(server_path("prometheus"), series, "global: {}\n", "--query.max-samples=100")
    yield server
    server.kill()


@pytest.fixture
def run_prometheus(server_path: Callable[[str], str], tmp_path: Path) -> Iterator[Callable[..., RealPrometheus]]:
    """`run_prometheus(config, *arguments, port=0)`: an empty server of one's own, to be stopped and killed."""
    started: list[RealPrometheus] = []

    def start(config: str = "global: {}\n", *arguments: str, port: int = 0) -> RealPrometheus:
        server = start_prometheus(server_path("prometheus"), tmp_path, config, *arguments, port=port)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.send(signal.SIGCONT)
            server.kill()
