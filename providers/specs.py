"""A provider's part of a metric, from the map that a template gives to the struct that a provider works with."""

from typing import Generic, TypeVar

import msgspec

from providers.base import BadQuery, Spec

S = TypeVar("S", bound=msgspec.Struct)


def typed(name: str, spec: Spec, kind: type[S]) -> S:
    """The spec of the provider of this name as a `kind`. Raises BadQuery."""
    try:
        return msgspec.convert(spec, kind)
    except msgspec.ValidationError as error:
        raise BadQuery(f"{name}: {error}") from None


class Reader(Generic[S]):
    """`typed` with a memory of one: check, credentials, timeout and query follow each other with the same object."""

    def __init__(self, name: str, kind: type[S]) -> None:
        self._name = name
        self._kind = kind
        self._last: tuple[Spec, S] | None = None

    def __call__(self, spec: Spec) -> S:
        """Raises BadQuery."""
        last = self._last
        if last is not None and last[0] is spec:
            return last[1]
        read = typed(self._name, spec, self._kind)
        self._last = (spec, read)
        return read
