"""How much of an answer is taken: bytes, decompression, waiting. Pure; `http` feeds it chunks."""

import time
import zlib
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MAX_BODY = 8 * 1024 * 1024  # decoded
MAX_RATIO = 100  # decoded : received; JSON and metrics text stay under 40
RATIO_FROM = 1024 * 1024  # below this a body may be as repetitive as it likes

RETRY_DEFAULT = 5.0
RETRY_LONGEST = 60.0


class OverCap(Exception):
    """The answer is larger than allowed; the text says by which measure."""


class Undecodable(Exception):
    """The answer's Content-Encoding cannot be undone."""


class Received:
    """The body so far. `str()` says how much of how much, for messages."""

    __slots__ = ("_cap", "_chunks", "_decoded", "_inflate", "begun", "count", "expected")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._chunks: list[bytes] = []
        self._decoded = 0
        self._inflate: _Inflate | None = None
        self.begun = False  # headers have come
        self.count = 0  # bytes as they came over the wire
        self.expected: int | None = None

    def expect(self, headers: Mapping[str, str]) -> None:
        """Reads the headers. Raises OverCap if they announce too much, Undecodable for an unknown encoding."""
        self.begun = True
        length = headers.get("Content-Length")
        if length is not None and length.isdecimal():
            self.expected = int(length)
            if self.expected > self._cap:
                raise OverCap(f"over {self._limit()} ({self.expected:,} bytes announced)".replace(",", " "))
        encoding = headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._inflate = _Inflate(encoding == "deflate")
        elif encoding not in ("identity", ""):
            raise Undecodable(f"the answer is encoded as {encoding[:20]!r}, which was not asked for")

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes from the wire. Raises OverCap or Undecodable."""
        self.count += len(chunk)
        if self._inflate is None:
            self._keep(chunk)
            return
        for piece in self._inflate.feed(chunk, self._cap):
            self._keep(piece)
            if self._decoded > RATIO_FROM and self._decoded > self.count * MAX_RATIO:
                # whichever cap is hit first, a bomb is told by the size it would grow to
                raise OverCap(f"over {self._limit()} decoded (compressed more than {MAX_RATIO}:1)")

    def body(self) -> bytes:
        if self._inflate is not None and not self._inflate.complete:
            raise Undecodable("the answer's compressed body ends too early")
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def __str__(self) -> str:
        total = "" if self.expected is None else f" of {self.expected:,}"
        return f"{self.count:,}{total} bytes".replace(",", " ")

    def _keep(self, piece: bytes) -> None:
        self._decoded += len(piece)
        if self._decoded > self._cap:
            raise OverCap(f"over {self._limit()}" + (" decoded" if self._inflate else ""))
        self._chunks.append(piece)

    def _limit(self) -> str:
        mebibytes = self._cap / 2**20
        return f"{mebibytes:g} MiB" if mebibytes >= 1 else f"{self._cap} bytes"


class _Inflate:
    """gzip (several members) or deflate (zlib or raw), a bounded piece at a time."""

    __slots__ = ("_deflate", "_first", "_zlib", "complete")

    PIECE = 256 * 1024

    def __init__(self, deflate: bool) -> None:
        self._deflate = deflate
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS if deflate else 16 + zlib.MAX_WBITS)
        self._first = True
        self.complete = True  # an empty body is whole

    def feed(self, data: bytes, cap: int) -> list[bytes]:
        """At most a little over `cap` bytes: what is beyond is refused by the caller anyway."""
        pieces: list[bytes] = []
        size = 0
        try:
            while data and size <= cap:
                if self._zlib.eof:
                    self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
                piece = self._start(data) if self._first else self._zlib.decompress(data, self.PIECE)
                self._first = False
                size += len(piece)
                pieces.append(piece)
                data = self._zlib.unconsumed_tail or self._zlib.unused_data
                if self._zlib.eof and (self._deflate or not data.strip(b"\0")):
                    break  # padding after the end
        except zlib.error:
            raise Undecodable("the answer's compressed body is broken") from None
        self.complete = self._zlib.eof
        return pieces

    def _start(self, data: bytes) -> bytes:
        try:
            return self._zlib.decompress(data, self.PIECE)
        except zlib.error:
            if not self._deflate:
                raise
            self._zlib = zlib.decompressobj(wbits=-zlib.MAX_WBITS)  # some servers send deflate without its header
            return self._zlib.decompress(data, self.PIECE)


def retry_after_seconds(headers: Mapping[str, str], now: float | None = None) -> float:
    """How long a throttling backend asks us to wait: Retry-After (seconds or a date), else X-RateLimit-Reset.

    Always within 0 to 60 s; 5 s when nothing is said or what is said makes no sense. A date is read against the
    server's own Date header, so that a clock that is off does not matter; `now` (unix seconds) stands in for it.
    """
    for name in ("Retry-After", "X-RateLimit-Reset"):
        text = headers.get(name)
        if text is None:
            continue
        seconds = _seconds(text.strip(), headers.get("Date"), now)
        return RETRY_DEFAULT if seconds is None or seconds < 0 else min(seconds, RETRY_LONGEST)
    return RETRY_DEFAULT


def _seconds(text: str, server_date: str | None, now: float | None) -> float | None:
    try:
        return float(text) if text[:1].isdigit() and "_" not in text else _date(text) - _base(server_date, now)
    except (ValueError, TypeError, OverflowError):
        return None


def _base(server_date: str | None, now: float | None) -> float:
    if server_date is not None:
        return _date(server_date)
    return time.time() if now is None else now


def _date(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()
