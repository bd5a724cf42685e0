"""Text -> node tree with positions, under caps.

YAML is read as events of the pure-Python parser, which keeps its own stack: depth, node count, anchors, tags and
duplicate keys are judged here, before anything is built from them. Text that starts like a JSON object is read as
JSON (`core.jsontext`). Syntax errors end the reading; everything else is collected, and a broken place is marked so
that later stages keep quiet about it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from msgspec.structs import replace

from analysis_service.core import jsontext
from analysis_service.core.nodes import BrokenNode, Entry, ListNode, MapNode, Node, Position, ScalarNode, Source
from analysis_service.core.problem import LINE_BREAK, DocumentError, Problem, child, echo, grouped
from analysis_service.core.scalars import CONTROL, read_scalar

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000
_LOOKS_LIKE_JSON = re.compile(r'\s*\{\s*(["}]|/[/*])')
_EXPECTED = "expected kind AnalysisTemplate, ClusterAnalysisTemplate or AnalysisRun"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a text: its tree, and what was already found wrong with it."""

    source: Source
    problems: tuple[Problem, ...] = ()

    @property
    def root(self) -> Node:
        return self.source.root


def parse_document(data: bytes | str) -> Document:
    """Read the one document of a text.

    Raises DocumentError when the text is no document at all (syntax, size, encoding), empty, or holds several.
    Lesser problems are in the result.
    """
    documents = parse_documents(data)
    if len(documents) > 1:
        at = documents[1].root.at
        message = f"found {len(documents)} documents where one is wanted"
        hint = "Use --all to read all of them, or split the file."
        raise DocumentError([Problem("MultipleDocuments", "", message, at.line, at.column, hint)])
    return documents[0]


def parse_documents(data: bytes | str) -> tuple[Document, ...]:
    """Read all documents of a text, at least one. Empty ones (two separators in a row) are left out.

    Raises DocumentError as `parse_document` does.
    """
    text = _decode(data)
    hidden = [_hidden(text, match) for match in islice(CONTROL.finditer(text), 10)]  # ten are enough to see
    if hidden:  # shown as replacement characters, so that the rest can still be read and the place be named
        text = CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    try:
        documents = tuple(_json(text) if _LOOKS_LIKE_JSON.match(text) else _yaml(text))
    except DocumentError as error:
        raise DocumentError([*hidden, *error.problems]) from None
    if not documents:
        raise DocumentError([*hidden, Problem("EmptyDocument", "", f"no document found; {_EXPECTED}")])
    if not hidden:
        return documents
    placed = tuple(_placed(problem, documents) for problem in hidden)
    return (Document(documents[0].source, (*placed, *documents[0].problems)), *documents[1:])


def _decode(data: bytes | str) -> str:
    try:
        raw = data.encode() if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise DocumentError([Problem("NotUtf8", "", f"lone surrogate at character {error.start}")]) from None
    if len(raw) > MAX_BYTES:
        message = f"template is {grouped(len(raw))} bytes; limit {grouped(MAX_BYTES)}"
        raise DocumentError([Problem("TooLarge", "", message)])
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        message = f"not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}"
        hint = "Save the file as UTF-8."
        raise DocumentError([Problem("NotUtf8", "", message, hint=hint)]) from None
    return LINE_BREAK.sub("\n", text)


def _hidden(text: str, match: re.Match[str]) -> Problem:
    line = text.count("\n", 0, match.start()) + 1
    column = match.start() - (text.rfind("\n", 0, match.start()) + 1) + 1
    return Problem("ControlCharacter", "", f"U+{ord(match[0]):04X}", line, column, "Remove this character.")


def _placed(problem: Problem, documents: tuple[Document, ...]) -> Problem:
    """The problem, with the path of the last node that starts before it."""
    path = ""
    for document in documents:
        for at, candidate in _places(document.root, ""):
            if (at.line, at.column) <= (problem.line, problem.column):
                path = candidate
    message = f"{problem.message} at {path}" if path else f"{problem.message} is not allowed"
    return Problem(problem.code, path, message, problem.line, problem.column, problem.hint)


def _places(node: Node, path: str) -> Iterator[tuple[Position, str]]:
    yield node.at, path
    if isinstance(node, MapNode):
        for entry in node.entries:
            yield entry.at, child(path, entry.key)
            yield from _places(entry.node, child(path, entry.key))
    elif isinstance(node, ListNode):
        for index, item in enumerate(node.items):
            yield from _places(item, child(path, index))


def _json(text: str) -> Iterator[Document]:
    root, problems = jsontext.parse(text, max_depth=MAX_DEPTH, max_nodes=MAX_NODES)
    yield Document(Source(root, text), problems)


@dataclass(slots=True)
class _Frame:
    """A map or list that is being read."""

    at: Position
    is_map: bool
    path: str
    items: list[Node] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # key -> line
    key: tuple[str, Position, bool] | None = None  # waiting for its value; False: the value is to be dropped
    is_key: bool = False  # this very frame stands where a key should

    def next_path(self) -> str:
        if not self.is_map:
            return child(self.path, len(self.items))
        return child(self.path, self.key[0]) if self.key else self.path


@dataclass(slots=True)
class _Anchor:
    """problem: its place in the list. places, first, last: how many aliases refer to it, and on which lines."""

    problem: int
    places: int = 0
    first: int = 0
    last: int = 0

    def hint(self) -> str:
        if not self.places:
            return "Write the value out where it is used."
        lines = f"line {self.first}" if self.first == self.last else f"lines {self.first} to {self.last}"
        refer = "1 place refers" if self.places == 1 else f"{grouped(self.places)} places refer"
        return f"Write the value out where it is used: {refer} to it ({lines})."


class _Reader:
    """Folds the events of one document into a tree."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.nodes = 0
        self.root: Node | None = None
        self.anchors: dict[str, _Anchor] = {}

    def path(self) -> str:
        return self.stack[-1].next_path() if self.stack else ""

    def report(self, code: str, message: str, at: Position, hint: str = "", length: int = 1) -> None:
        self.problems.append(Problem(code, self.path(), message, at.line, at.column, hint, length=length))

    def fail(self, code: str, message: str, at: Position, hint: str = "") -> DocumentError:
        self.report(code, message, at, hint)
        return DocumentError(self.problems)

    def count(self, at: Position) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.fail("TooManyNodes", f"more than {grouped(MAX_NODES)} values", at)

    def properties(self, event: "yaml.NodeEvent", tag: str | None, at: Position) -> bool:
        """Report an anchor or a tag; True if the node is fit to be used."""
        fit = True
        if event.anchor is not None:
            self.anchor(event.anchor, at, is_alias=tag is _ALIAS)
            fit = tag is not _ALIAS
        if tag is not None and tag not in (_ALIAS, "!"):
            shown = echo(tag.replace("tag:yaml.org,2002:", "!!", 1))
            self.report(
                "TagNotAllowed", f"tag {shown} is not allowed; only plain YAML types", at, "Quote text instead."
            )
            fit = False
        return fit

    def anchor(self, name: str, at: Position, *, is_alias: bool) -> None:
        """Report an anchor once, however many aliases refer to it: they are one mistake."""
        if is_alias and name in self.anchors:
            anchor = self.anchors[name]
            anchor.places += 1
            anchor.first, anchor.last = anchor.first or at.line, at.line
            self.problems[anchor.problem] = replace(self.problems[anchor.problem], hint=anchor.hint())
            return
        message = f"anchors and aliases are not allowed (line {at.line}: {'*' if is_alias else '&'}{echo(name)})"
        anchor = self.anchors[name] = _Anchor(len(self.problems))
        self.report("AliasNotAllowed", message, at, anchor.hint())

    def scalar(self, event: "yaml.ScalarEvent", at: Position) -> None:
        self.count(at)
        fit = self.properties(event, event.tag, at)
        frame = self.stack[-1] if self.stack else None
        quoted = event.style is not None
        if frame is not None and frame.is_map and frame.key is None:
            self.key(frame, event.value, at, quoted=quoted)
            return
        node, complaint = read_scalar(event.value, at, quoted=quoted)
        if complaint is not None:
            self.report(complaint.code, complaint.message, at, complaint.hint)
        self.add(node if fit and complaint is None else BrokenNode(at))

    def key(self, frame: _Frame, key: str, at: Position, *, quoted: bool) -> None:
        keep = True
        if key == "<<" and not quoted:
            hint = "Copy the fields of the other map here."
            self.report("MergeKeyNotAllowed", "merge key << is not allowed", at, hint, 2)
            keep = False
        elif key in frame.seen:
            path = child(frame.path, key)
            message = f"{echo(key)} given at line {frame.seen[key]} and {at.line}"
            hint = "Keep one of them."
            self.problems.append(Problem("DuplicateKey", path, message, at.line, at.column, hint, length=len(key)))
            keep = False
        elif CONTROL.search(key):
            self.report("ControlCharacter", f"control character in the key '{echo(key)}'", at)
            keep = False
        else:
            frame.seen[key] = at.line
        frame.key = (key, at, keep)

    def open(self, event: "yaml.CollectionStartEvent", at: Position, *, is_map: bool) -> None:
        self.count(at)
        self.properties(event, event.tag, at)
        if len(self.stack) >= MAX_DEPTH:
            message = f"nesting deeper than {MAX_DEPTH} at line {at.line} column {at.column}"
            raise DocumentError([*self.problems, Problem("TooDeep", "", message, at.line, at.column)])
        parent = self.stack[-1] if self.stack else None
        is_key = parent is not None and parent.is_map and parent.key is None
        if is_key:
            text = self.text.split("\n")[at.line - 1][at.column - 2 :]
            if text.startswith("{{"):
                raise self.fail("Syntax", "text that starts with {{ must be quoted", at, 'Write "{{args.x}}".')
            raise self.fail("Syntax", "a key must be text", at)
        self.stack.append(_Frame(at, is_map, self.path()))

    def close(self) -> None:
        frame = self.stack.pop()
        self.add(MapNode(tuple(frame.entries), frame.at) if frame.is_map else ListNode(tuple(frame.items), frame.at))

    def add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if not frame.is_map:
            frame.items.append(node)
        elif frame.key is not None:
            key, at, keep = frame.key
            if keep:
                frame.entries.append(Entry(key, at, node))
            frame.key = None


_ALIAS = "*"


def _yaml(text: str) -> Iterator[Document]:
    import yaml  # here: most commands that import this module read no document

    reader = _Reader(text)
    try:
        for event in yaml.parse(text, Loader=yaml.Loader):
            mark = event.start_mark
            at = Position(mark.line + 1, mark.column + 1) if mark else Position(0, 0)
            if isinstance(event, yaml.ScalarEvent):
                reader.scalar(event, at)
            elif isinstance(event, yaml.MappingStartEvent):
                reader.open(event, at, is_map=True)
            elif isinstance(event, yaml.SequenceStartEvent):
                reader.open(event, at, is_map=False)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                reader.close()
            elif isinstance(event, yaml.AliasEvent):
                reader.count(at)
                reader.properties(event, _ALIAS, at)
                frame = reader.stack[-1] if reader.stack else None
                if frame is not None and frame.is_map and frame.key is None:
                    frame.key = ("*", at, False)
                else:
                    reader.add(BrokenNode(at))
            elif isinstance(event, yaml.DocumentEndEvent):
                if reader.root is not None and not _is_empty(reader.root):
                    yield Document(Source(reader.root, text), tuple(reader.problems))
                reader = _Reader(text)
    except yaml.MarkedYAMLError as error:
        raise _syntax(reader, error, text) from None
    except yaml.YAMLError as error:
        raise reader.fail("Syntax", echo(str(error)), Position(0, 0)) from None


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None and not node.text


def _syntax(reader: _Reader, error: "yaml.MarkedYAMLError", text: str) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    at = Position(mark.line + 1, mark.column + 1) if mark else Position(0, 0)
    lines = text.split("\n")
    line = lines[at.line - 1] if 0 < at.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return reader.fail("Syntax", "tab in indentation", at, "Indent with spaces.")
    message, hint = _SYNTAX.get(error.problem or "", (error.problem or "not valid YAML", ""))
    return reader.fail("Syntax", message, at, hint)


_SYNTAX = {
    "mapping values are not allowed here": (
        "unexpected ':'",
        "Quote text that holds ': ', or check the indentation of this line and the one before.",
    ),
    "expected <block end>, but found '<block mapping start>'": (
        "this line is indented differently from the ones it belongs to",
        "Align it with its neighbours.",
    ),
    "expected <block end>, but found '<block sequence start>'": (
        "this list is indented differently from the lines it belongs to",
        "Align it with its neighbours.",
    ),
    "could not find expected ':'": ("a key without a ':'", "Write key: value."),
}
