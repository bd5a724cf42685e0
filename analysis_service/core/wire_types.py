"""The shapes a field may have, as data: one description for the parser, the editor schema and the docs."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `enum` closes it (a text holding `{{` is let through where `tags`, and judged once resolved)."""

    enum: tuple[str, ...] = ()
    tags: bool = False
    duration: bool = False  # a Go duration; its content is judged by validate, not by the shape


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int = -(1 << 63)
    maximum: int = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Number:
    """A number. `text`: also text that will be one once arguments are filled in (our own fields only)."""

    text: bool = False


@dataclass(frozen=True, slots=True)
class Boolean:
    pass


@dataclass(frozen=True, slots=True)
class IntOrString:
    """Kubernetes' int-or-string: a 32-bit integer, or text that is read as one."""


@dataclass(frozen=True, slots=True)
class Anything:
    """Opaque: kept as written. `mapping`: at least it is a map."""

    mapping: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    item: "Type"


@dataclass(frozen=True, slots=True)
class MapOf:
    item: "Type"


@dataclass(frozen=True, slots=True)
class Object:
    """A map with known keys; any other key is an error. `one_of`: exactly one of these keys must be there."""

    name: str
    fields: "Mapping[str, Field]"
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderUnion:
    """A metric's provider: one entry, read by its name in the provider table (by name: `compare` holds more)."""


Type = Text | Integer | Number | Boolean | IntOrString | Anything | ListOf | MapOf | Object | ProviderUnion


@dataclass(frozen=True, slots=True)
class Field:
    type: Type
    doc: str
    required: bool = False
    default: str = ""  # as a reader of the docs wants it; the code that uses the field applies it
    ours: bool = False  # not in Argo


def ours(
    kind: Text | Number | Boolean | ListOf | MapOf | Object | ProviderUnion | Anything,
    doc: str,
    default: str = "",
    required: bool = False,
) -> Field:
    """A field that Argo does not have."""
    return Field(kind, doc, required=required, default=default, ours=True)
