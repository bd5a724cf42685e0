"""What the digest of each row of the SQLite store covers, and the values that stand in rows for something else."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from analysis_service.stores import codec, rules
from analysis_service.stores.base import TemplateRecord

NEVER = 1 << 62  # due of a run that waits for nothing
TERMINATE = int.from_bytes(b"terminat", "big")  # for true: one flipped bit must not end a run
CRASH = 1_000_003  # one crash in the column that counts them: a damaged count is hardly a multiple of it


class Gone(msgspec.Struct, frozen=True, array_like=True):
    """What is left of a deleted run, for watchers."""

    run_id: str
    namespace: str
    template: str
    labels: Mapping[str, str]
    resource_version: int
    terminate: bool


def gone_digest(sequence: int, gone: Gone) -> bytes:
    return codec.digest(f"{sequence}", codec.encode(gone))


def run_digest(run_id: str, version: int, sequence: int, due: int, done: int, phase: str, status: bytes) -> bytes:
    return codec.digest(f"{run_id}\0{version}\0{sequence}\0{due}\0{done}\0{phase}", status)


def origin_digest(
    run_id: str, namespace: str, name: str, template: str, created: int, labels: str, spec_digest: bytes, head: bytes
) -> bytes:
    return codec.digest(f"{run_id}\0{namespace}\0{name}\0{template}\0{created}\0{labels}\0{spec_digest.hex()}", head)


def spec_digest(spec: bytes) -> bytes:
    return blake2b(spec, digest_size=codec.DIGEST_BYTES).digest()


def slot_digest(run_id: str, metric: str, ordinal: int, epoch: int, done: int, body: bytes) -> bytes:
    return codec.digest(f"{run_id}\0{metric}\0{ordinal}\0{epoch}\0{done}", body)


def look_digest(run_id: str, metric: str, ordinal: int, number: int, body: bytes) -> bytes:
    return codec.digest(f"{run_id}\0{metric}\0{ordinal}\0{number}\0look", body)


def template_digest(record: TemplateRecord) -> bytes:
    key = f"{record.namespace}\0{record.name}\0{record.version}\0{record.etag}\0{rules.micros(record.created_at)}"
    return codec.digest(key, record.text.encode())


def request_digest(namespace: str, request_id: str, body_digest: str, run_id: str, at: int) -> bytes:
    return codec.digest(f"{namespace}\0{request_id}\0{body_digest}\0{run_id}\0{at}", b"")


def event_mark(sequence: int, n: int) -> int:
    return (n * CRASH) ^ sequence


def label_text(labels: Mapping[str, str]) -> str:
    """Labels as a text in which one pair is found without reading the rest."""
    return "".join(f"\x1f{key}\x1e{value}\x1f" for key, value in labels.items())
