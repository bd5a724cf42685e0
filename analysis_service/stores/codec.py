"""Stored values as bytes, and the digests that tell when the bytes are no longer what was written.

MessagePack, because it keeps NaN and infinity, which JSON does not. A run is three values that live apart:

    head    what it was created with, but for the spec: never written again
    spec    the frozen spec: never written again, equal ones are shared in memory
    status  what `save` writes. Its results hold no measurements, only which slots they show: a measurement is
            stored once, in its slot, and a save costs the same for a run with one and one with a thousand
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from analysis_service.core.model import Look, Measurement, Run, RunSpec
from analysis_service.stores.base import BadArgument, Damaged, Unread

T = TypeVar("T")

DIGEST_BYTES = 16


class Head(msgspec.Struct, frozen=True, array_like=True):
    name: str
    namespace: str
    template: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created_at: datetime | None


class Status(msgspec.Struct, frozen=True, array_like=True, gc=False):
    shown: tuple[tuple[int, ...], ...]  # per result: [first, stop) of its slots, or [first, stop, first, stop, ...)
    run: Run  # without what it was created with, and without measurements


NO_SPEC = RunSpec(metrics=())

_encode = msgspec.msgpack.Encoder().encode
_head = msgspec.msgpack.Decoder(Head)
_spec = msgspec.msgpack.Decoder(RunSpec)
_status = msgspec.msgpack.Decoder(Status)
_measurement = msgspec.msgpack.Decoder(Measurement)
_look = msgspec.msgpack.Decoder(Look)


def encode(value: object) -> bytes:
    """Raises BadArgument for what cannot be stored."""
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError, TypeError, RecursionError) as error:
        raise BadArgument(f"a value cannot be stored: {error}") from error


def encode_head(run: Run, template: str) -> bytes:
    return encode(Head(run.name, run.namespace, template, run.labels, run.annotations, run.created_at))


def encode_spec(spec: RunSpec) -> bytes:
    return encode(spec)


def encode_measurement(measurement: Measurement) -> bytes:
    return encode(measurement)


def encode_look(look: Look) -> bytes:
    return encode(look)


def encode_status(run: Run) -> bytes:
    results = run.results
    bare = replace(
        run,
        id="",
        namespace="",
        name="",
        spec=NO_SPEC,
        labels={},
        annotations={},
        created_at=None,
        results=tuple([replace(result, measurements=()) if result.measurements else result for result in results]),
    )
    return encode(Status(tuple([_ranges(result.measurements) for result in results]), bare))


def _ranges(shown: Sequence[Measurement]) -> tuple[int, ...]:
    """Slots as ranges. Ordinals only grow, so ends that are as far apart as there are items leave no hole."""
    if not shown:
        return ()
    first, stop = shown[0].ordinal, shown[-1].ordinal + 1
    if stop - first == len(shown):
        return (first, stop)
    ranges = [first, first + 1]
    for measurement in shown[1:]:
        if measurement.ordinal == ranges[-1]:
            ranges[-1] += 1
        else:
            ranges += (measurement.ordinal, measurement.ordinal + 1)
    return tuple(ranges)


def slots_of(ranges: Sequence[int]) -> list[int]:
    """The slots that `Status.shown` names for one result."""
    return [slot for i in range(0, len(ranges), 2) for slot in range(ranges[i], ranges[i + 1])]


def decode_head(data: bytes, what: str) -> Head:
    return _decode(_head, data, what)


def decode_spec(data: bytes, what: str) -> RunSpec:
    """Raises Unread."""
    try:
        return _decode(_spec, data, what)
    except Damaged as error:
        raise Unread(str(error)) from error


def decode_status(data: bytes, what: str) -> Status:
    return _decode(_status, data, what)


def decode_measurement(data: bytes, what: str) -> Measurement:
    return _decode(_measurement, data, what)


def decode_look(data: bytes, what: str) -> Look:
    return _decode(_look, data, what)


def _decode(decoder: "msgspec.msgpack.Decoder[T]", data: bytes, what: str) -> T:
    """The digest was right, so what cannot be read was written by another build."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Damaged(f"{what} cannot be read by this build: {error}") from error


def build(run_id: str, head: Head, spec: RunSpec, status: Status, shown: Sequence[tuple[Measurement, ...]]) -> Run:
    """The run of its parts; `shown` holds the measurements of each result."""
    return replace(
        status.run,
        id=run_id,
        namespace=head.namespace,
        name=head.name,
        spec=spec,
        labels=head.labels,
        annotations=head.annotations,
        created_at=head.created_at,
        results=tuple(
            [
                replace(result, measurements=measurements) if measurements else result
                for result, measurements in zip(status.run.results, shown, strict=True)
            ]
        ),
    )


def join(created: Run, saved: Run) -> Run:
    """The saved status on what the run was created with."""
    if saved.spec is created.spec and saved.labels is created.labels and saved.annotations is created.annotations:
        return saved
    return replace(
        saved,
        namespace=created.namespace,
        name=created.name,
        spec=created.spec,
        labels=created.labels,
        annotations=created.annotations,
        created_at=created.created_at,
    )


def digest(key: str, data: bytes) -> bytes:
    """BLAKE2b-128 over what a row is about and what it holds."""
    return blake2b(b"%b\0%b" % (key.encode(), data), digest_size=DIGEST_BYTES).digest()


def mix(digest: bytes) -> int:
    """64 bits of a digest. The exclusive or over all rows of a run tells, in any order, that none is stale."""
    return int.from_bytes(digest[:8], "little", signed=True)
