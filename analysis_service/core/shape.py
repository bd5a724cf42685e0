"""Read a node tree against the shapes of `core.wire_types`: plain values, and every mismatch with its place."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from analysis_service.core.nodes import BrokenNode, ListNode, MapNode, Node, Position, ScalarNode, from_plain, plain
from analysis_service.core.problem import Collector, Problem, Severity, child, echo
from analysis_service.core.wire_providers import PLUGIN, PROVIDERS
from analysis_service.core.wire_types import (
    Anything,
    Boolean,
    Integer,
    IntOrString,
    ListOf,
    MapOf,
    Number,
    Object,
    ProviderUnion,
    Text,
    Type,
)

TAG = "{{"
_KNOWN = "Known here: "
_MEANT = "Did you mean '"
INT32 = range(-(1 << 31), 1 << 31)
PLUGIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}(/[A-Za-z0-9][A-Za-z0-9._-]{0,62})?", re.ASCII)
NOT_IN_A_COMPARISON = frozenset({"compare", "job", "kayenta"})  # they answer with a verdict, not with data


class _Missing:
    """No usable value; whatever was wrong is reported."""


MISSING: Final = _Missing()


class Shaper:
    """Collects problems while it reads. One per document."""

    def __init__(self) -> None:
        self._collected = Collector()
        self._comparing = 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self._collected.found)

    def include(self, problems: Iterable[Problem]) -> None:
        """Take over what was found before the shape was looked at."""
        self._collected.extend(problems)

    def report(
        self,
        code: str,
        path: str,
        message: str,
        at: Position,
        hint: str = "",
        severity: Severity = "error",
        length: int = 1,
    ) -> None:
        self._collected.add(Problem(code, path, message, at.line, at.column, hint, severity, length))

    def read(self, shape: Type, node: Node, path: str) -> Any:
        """The node's plain value, or MISSING if it is null or not of this shape."""
        if isinstance(node, BrokenNode) or (isinstance(node, ScalarNode) and node.value is None):
            return MISSING
        return _READERS[type(shape)](self, shape, node, path)

    def object(self, shape: Object, node: Node, path: str) -> dict[str, Any] | _Missing:
        """The known fields of a map that have a usable value."""
        if not isinstance(node, MapNode):
            return self._mismatch("map", node, path)
        values: dict[str, Any] = {}
        misspelt: set[str] = set()
        for entry in node.entries:
            field = shape.fields.get(entry.key)
            where = child(path, entry.key)
            if field is None:
                if not self._collected.full():
                    misspelt.add(nearest(entry.key, shape.fields))
                self.unknown("UnknownField", "field", entry.key, shape.fields, where, entry.at)
                continue
            value = self.read(field.type, entry.node, where)
            if value is not MISSING:
                values[entry.key] = value
        self._complete(shape, node, path, misspelt)
        return values

    def unknown(self, code: str, noun: str, word: str, known: Iterable[str], path: str, at: Position) -> None:
        """Report a word that is not among the known ones, with the nearest of them."""
        if not self._collected.full():
            self.report(code, path, f"unknown {noun} '{echo(word)}'", at, suggest(word, known), length=len(word))

    def _complete(self, shape: Object, node: MapNode, path: str, misspelt: set[str]) -> None:
        present = {entry.key for entry in node.entries if not _is_null(entry.node)}
        if not present.intersection(shape.one_of):
            present |= misspelt  # once the word is right nothing is missing
        for name, field in shape.fields.items():
            if field.required and name not in present:
                self.report("Required", child(path, name), f"required: {field.doc}", node.at)
        if not shape.one_of:
            return
        chosen = [name for name in shape.one_of if name in present]
        if len(chosen) != 1:
            found = f"{' and '.join(chosen)} both set" if chosen else "none is set"
            self.report("ExactlyOne", path, f"exactly one of {', '.join(shape.one_of)} is required; {found}", node.at)

    def _mismatch(self, wanted: str, node: Node, path: str, hint: str = "") -> _Missing:
        self.report("WrongType", path, f"want {wanted}, got {kind_of(node)}", node.at, hint)
        return MISSING

    def _scalar(self, wanted: str, node: Node, path: str) -> ScalarNode | _Missing:
        if not isinstance(node, ScalarNode):
            return self._mismatch(wanted, node, path)
        if node.doubt in ("bool", "int"):
            return self._ambiguous(node, path)
        return node

    def _ambiguous(self, node: ScalarNode, path: str) -> _Missing:
        is_bool = isinstance(node.value, bool)
        old = str(node.value).lower()
        new = "as text" if is_bool or not node.text.lstrip("+-").isdigit() else f"as {int(node.text)}"
        shown = echo(node.text)
        hint = f'Quote it if it is text ("{shown}"), or write {"true or false" if is_bool else "plain digits"}.'
        self.report("AmbiguousScalar", path, f"`{shown}` reads as {old} in YAML 1.1 and {new} in 1.2", node.at, hint)
        return MISSING

    def _text(self, shape: Text, node: Node, path: str) -> Any:
        scalar = self._scalar("string", node, path)
        if isinstance(scalar, _Missing):
            return MISSING
        value = scalar.value
        if not isinstance(value, str):
            text = echo(scalar.text)
            hint = f'Give it a unit: "{text}s".' if shape.duration and text.isdigit() else f'Quote it: "{text}".'
            return self._mismatch("string", node, path, hint)
        if scalar.doubt == "time":
            seconds = _sexagesimal(value)
            message = f"`{echo(value)}` reads as {seconds} in YAML 1.1"
            hint = f"Write {seconds}s, or quote it if it is text." if shape.duration else f'Quote it: "{echo(value)}".'
            self.report("AmbiguousScalar", path, message, node.at, hint, "error" if shape.duration else "warning")
            return MISSING if shape.duration else value
        if scalar.doubt == "letter":
            message = f"`{value}` reads as a boolean in YAML 1.1"
            self.report("AmbiguousScalar", path, message, node.at, f'Quote it: "{value}".', "warning")
        if shape.enum and value not in shape.enum and not (shape.tags and TAG in value):
            near = suggest(value, shape.enum)
            hint = "" if near.startswith(_KNOWN) else near  # the message names them all
            self.report("UnknownValue", path, f"'{echo(value)}' is not one of {', '.join(shape.enum)}", node.at, hint)
            return MISSING
        return value

    def _integer(self, shape: Integer, node: Node, path: str) -> Any:
        scalar = self._scalar("integer", node, path)
        if isinstance(scalar, _Missing):
            return MISSING
        value = scalar.value
        if isinstance(value, bool) or not isinstance(value, int):
            return self._mismatch("integer", node, path)
        if not shape.minimum <= value <= shape.maximum:
            bounds = f">= {shape.minimum}" if shape.maximum.bit_length() > 62 else f"{shape.minimum}..{shape.maximum}"
            self.report("OutOfRange", path, f"want integer {bounds}, got {value}", node.at)
            return MISSING
        return value

    def _int_or_string(self, shape: IntOrString, node: Node, path: str) -> Any:
        scalar = self._scalar("integer or string", node, path)
        if isinstance(scalar, _Missing):
            return MISSING
        value = scalar.value
        if isinstance(value, bool) or not isinstance(value, int | str):
            return self._mismatch("integer", node, path)
        if isinstance(value, int) and value not in INT32:
            self.report("OutOfRange", path, f"want integer of 32 bits, got {value}", node.at)
            return MISSING
        return value

    def _number(self, shape: Number, node: Node, path: str) -> Any:
        scalar = self._scalar("number", node, path)
        if isinstance(scalar, _Missing):
            return MISSING
        value = scalar.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if shape.text and isinstance(value, str) and (TAG in value or _is_number(value)):
            return value
        return self._mismatch("number", node, path)

    def _boolean(self, shape: Boolean, node: Node, path: str) -> Any:
        if not isinstance(node, ScalarNode) or not isinstance(node.value, bool):
            return self._mismatch("boolean", node, path, "Write true or false.")
        if node.doubt:
            word = "true" if node.value else "false"
            message = f"`{node.text}` reads as {word} in YAML 1.1 and as text in 1.2"
            self.report("AmbiguousScalar", path, message, node.at, f"Write {word}.", "warning")
        return node.value

    def _anything(self, shape: Anything, node: Node, path: str) -> Any:
        if shape.mapping and not isinstance(node, MapNode):
            return self._mismatch("map", node, path)
        for doubtful in _doubtful(node):
            message = f"`{echo(doubtful.text)}` reads as {doubtful.value!r} here, as in YAML 1.1"
            self.report("AmbiguousScalar", path, message, doubtful.at, "Quote it if it is text.", "warning")
        return plain(node)

    def _list(self, shape: ListOf, node: Node, path: str) -> Any:
        if not isinstance(node, ListNode):
            return self._mismatch("list", node, path)
        values = [self.read(shape.item, item, child(path, index)) for index, item in enumerate(node.items)]
        return [value for value in values if value is not MISSING]

    def _map(self, shape: MapOf, node: Node, path: str) -> Any:
        if not isinstance(node, MapNode):
            return self._mismatch("map", node, path)
        values = {e.key: self.read(shape.item, e.node, child(path, e.key)) for e in node.entries}
        return {key: value for key, value in values.items() if value is not MISSING}

    def _provider(self, shape: ProviderUnion, node: Node, path: str) -> Any:
        if not isinstance(node, MapNode):
            return self._mismatch("map with one provider", node, path)
        names: list[str] = []
        values: dict[str, Any] = {}
        for entry in node.entries:
            where = child(path, entry.key)
            if entry.key == PLUGIN:
                values[PLUGIN] = self._plugins(entry.node, where, names)
            elif entry.key not in PROVIDERS:
                names.append(entry.key)
                self.unknown("UnknownProvider", "provider", entry.key, (*PROVIDERS, PLUGIN), where, entry.at)
            elif not _is_null(entry.node):
                names.append(entry.key)
                values[entry.key] = self._known(entry.key, entry.node, where)
        if not names:
            hint = f"One of {', '.join(PROVIDERS)}."
            self.report("NoProvider", path, "exactly one provider is required", node.at, hint)
        elif len(names) > 1:
            self.report("MultipleProviders", path, f"exactly one provider is required; {_both(names)} set", node.at)
        return {name: value for name, value in values.items() if value is not MISSING}

    def _plugins(self, node: Node, path: str, names: list[str]) -> Any:
        if not isinstance(node, MapNode):
            return self._mismatch("map with the plugin's name", node, path)
        values: dict[str, Any] = {}
        for entry in node.entries:
            where = child(path, entry.key)
            names.append(f"{PLUGIN}.{entry.key}")
            if entry.key in PROVIDERS:
                values[entry.key] = self._known(entry.key, entry.node, where)
            elif not PLUGIN_NAME.fullmatch(entry.key):
                message = f"'{echo(entry.key)}' is no plugin name"
                self.report("BadName", where, message, entry.at, f"Names match {PLUGIN_NAME.pattern}.")
            else:
                values[entry.key] = self._anything(Anything(), entry.node, where)
        return {name: value for name, value in values.items() if value is not MISSING}

    def _known(self, name: str, node: Node, path: str) -> Any:
        if self._comparing and name in NOT_IN_A_COMPARISON:
            self.report("WrongProvider", path, f"{name} gives no data that could be compared", node.at)
            return MISSING
        comparing = name == "compare"
        self._comparing += comparing
        value = self.read(PROVIDERS[name], node, path)
        self._comparing -= comparing
        return value


def check_provider(provider: Any, path: str) -> list[Problem]:
    """What is wrong with the shape of a provider whose arguments are filled in."""
    shaper = Shaper()
    shaper.read(ProviderUnion(), from_plain(provider), path)
    return list(shaper.problems)


def suggest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`Did you mean 'x'?` if something known is near, else the known words (if they are few enough to read)."""
    candidates = sorted({name.lower(): name for name in known}.values())
    if near := nearest(word, candidates, cutoff):
        return f"{_MEANT}{near}'?"
    return f"{_KNOWN}{', '.join(candidates)}." if candidates else ""


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known word that was probably meant; "" if none is near."""
    from difflib import get_close_matches

    candidates = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), candidates, n=1, cutoff=cutoff)
    return candidates[near[0]] if near else ""


def meant(problem: Problem) -> str:
    """The path of the field that a misspelt one was to be; "" if the problem is no misspelt field."""
    if problem.code != "UnknownField" or not problem.hint.startswith(_MEANT):
        return ""
    parent = problem.path[: max(problem.path.rfind("['" if problem.path.endswith("']") else "."), 0)]
    return child(parent, problem.hint.removeprefix(_MEANT).removesuffix("'?"))


def kind_of(node: Node) -> str:
    """What a node is, in words of a document."""
    if isinstance(node, MapNode):
        return "map"
    if isinstance(node, ListNode):
        return "list"
    value = node.value if isinstance(node, ScalarNode) else None
    if value is None:
        return "nothing"
    return {bool: "boolean", int: "integer", float: "number", str: "string"}[type(value)]


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _both(names: list[str]) -> str:
    return f"{names[0]} and {names[1]} both" if len(names) == 2 else f"{', '.join(map(echo, names))} all"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sexagesimal(text: str) -> str:
    total = 0.0
    for part in text.lstrip("+-").split(":"):
        total = total * 60 + float(part or 0)
    return f"{'-' if text[0] == '-' else ''}{total:.15g}"


def _doubtful(node: Node) -> list[ScalarNode]:
    if isinstance(node, MapNode):
        return [doubtful for entry in node.entries for doubtful in _doubtful(entry.node)]
    if isinstance(node, ListNode):
        return [doubtful for item in node.items for doubtful in _doubtful(item)]
    return [node] if isinstance(node, ScalarNode) and node.doubt in ("bool", "int") else []


_READERS: dict[type, Callable[[Shaper, Any, Node, str], Any]] = {
    Text: Shaper._text,
    Integer: Shaper._integer,
    Number: Shaper._number,
    Boolean: Shaper._boolean,
    IntOrString: Shaper._int_or_string,
    Anything: Shaper._anything,
    ListOf: Shaper._list,
    MapOf: Shaper._map,
    Object: Shaper.object,
    ProviderUnion: Shaper._provider,
}
