"""What is wrong with the arguments of a run, before it starts.

Argo fills arguments in as text and finds out later, if at all; so most of this is a warning in its mode and an error
in strict mode. What could never run, or what could change a query's meaning by control characters, is refused.
"""

import re
from collections.abc import Iterator, Sequence

from analysis_service.core.arguments import provider_names, strings
from analysis_service.core.limits import is_int
from analysis_service.core.model import Argument, Metric, Template
from analysis_service.core.problem import Collector, Problem, Severity, child, echo, grouped
from analysis_service.core.scalars import CONTROL
from analysis_service.core.shape import suggest
from analysis_service.core.tags import ArgumentError, Tag, go_escape, tags

MAX_VALUE_BYTES = 16 * 1024
MIN_SECRET = 6  # characters: shorter ones turn up in ordinary text, and masking them says what they are
ARGS, ARM = "args.", "arm."
CONDITIONS = ("successCondition", "failureCondition")
LIMITS = ("count", "failureLimit", "inconclusiveLimit", "consecutiveErrorLimit", "consecutiveSuccessLimit")

_LITERAL = re.compile(
    r"""\s*(?:[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|true|false|nil|"[^"\\]*"|'[^'\\]*'|`[^`]*`)\s*"""
)
_LITERALS = re.compile(rf"\[{_LITERAL.pattern}(?:,{_LITERAL.pattern})*\]")
_NOT_A_QUERY = re.compile(r"\.(headers|authentication|body|jsonBody|job|secretRef|profile)\b")
_JSON_KNOWS = re.compile(r'(\\u[0-9a-f]{4}|\\["\\bfnrt]|[^\\])*')


def check_template_arguments(template: Template, *, strict: bool = False) -> list[Problem]:
    """What a template's own text says: tags against declarations. Other templates may declare more: warnings."""
    found = Collector()
    declared = {argument.name for argument in template.args}
    used: set[str] = set()
    for index, metric in enumerate(template.metrics):
        for path, tag in _tags(metric, f"spec.metrics[{index}]", found):
            used.add(tag.name.removeprefix(ARGS))
            _check_tag(path, tag, declared, metric, found, "warning")
    alone = not template.templates
    first: dict[str, str] = {}
    for index, argument in enumerate(template.args):
        where = f"spec.args[{index}]"
        if argument.value is not None and first.setdefault(argument.name, argument.value) != argument.value:
            text = f"argument '{echo(argument.name)}' has another value above"
            found.add(Problem("ArgConflict", f"{where}.name", text, hint="Keep one of them."))
        if argument.name not in used and alone and template.metrics:
            text = f"argument '{echo(argument.name)}' is not used"
            found.add(Problem("UnusedArg", where, text, severity="warning"))
        found.extend(_argument_problems(argument, where, strict=strict))
    secrets = {a.name for a in template.args if a.value_from is not None and a.value_from.secret_key_ref is not None}
    values = {a.name: a.value for a in template.args if a.value is not None and a.name not in secrets}
    _check_uses(template, values, secrets, found, strict=strict)
    return found.found


def check_arguments(
    template: Template,
    supplied: Sequence[Argument] | None = None,
    *,
    strict: bool = False,
    allow_extra: bool = False,
) -> list[Problem]:
    """Everything wrong with the arguments of a run of a (composed) template.

    supplied: what the caller gives; None when the template's own values are all there is. allow_extra: names that
    nobody declares are dropped without a word, as a Rollout's are. Paths are `args.<name>` and `spec.metrics[i]...`.
    """
    found = Collector()
    declared = {argument.name: argument for argument in template.args}
    given = {argument.name: argument for argument in supplied or ()}
    for name, argument in given.items():
        if name in declared:
            found.extend(_argument_problems(argument, child("args", name), strict=strict))
        elif not allow_extra and not found.full():
            text = f"no template declares an argument '{echo(name)}'"
            found.add(Problem("UnknownArg", child("args", name), text, hint=suggest(name, declared)))
    values: dict[str, str] = {}
    secrets: set[str] = set()
    for name, argument in declared.items():
        source = given.get(name)
        chosen = source if source is not None and (source.value is not None or source.value_from) else argument
        reference = chosen.value_from or argument.value_from
        if reference is not None and reference.secret_key_ref is not None:
            secrets.add(name)
            found.extend(_secret_reference(name, reference.secret_key_ref.name))
        elif chosen.value is not None:
            values[name] = chosen.value
        elif reference is None:
            by = f" by template '{template.name}'" if template.name else ""
            found.add(Problem("MissingArg", child("args", name), f"required{by}, not supplied"))
    names = set(declared)
    for index, metric in enumerate(template.metrics):
        for path, tag in _tags(metric, f"spec.metrics[{index}]", found):
            _check_tag(path, tag, names, metric, found, "error")
    _check_uses(template, values, secrets, found, strict=strict)
    return found.found


def check_secret(argument: str, secret: str, value: str, *, strict: bool = False) -> list[Problem]:
    """What is odd about the value of a secret; the value itself is never part of the answer."""
    path = child("args", argument)
    if not value:
        text = f"secret '{secret}' is empty"
        return [Problem("SecretEmpty", path, text, severity=_trap(strict))]
    found = []
    if value.endswith("\n"):
        text = f"the value of secret '{secret}' ends with a line break"
        found.append(Problem("SecretTrailingNewline", path, text, severity="warning"))
    if len(value) < MIN_SECRET:
        text = f"the value of secret '{secret}' is too short to be masked safely"
        found.append(Problem("SecretTooShort", path, text, severity="warning"))
    return found


def _trap(strict: bool) -> Severity:
    return "error" if strict else "warning"


def _tags(metric: Metric, base: str, found: Collector) -> Iterator[tuple[str, Tag]]:
    for where, text in strings(metric):
        if "{{" not in text:
            continue
        path = f"{base}.{where}"
        try:
            yield from ((path, tag) for tag in list(tags(text)))
        except ArgumentError:
            at = text.rfind("{{")
            message = f"'{{{{' at character {at + 1} is never closed"
            found.add(Problem("UnclosedTag", path, message, hint="Close it with }}."))


def _check_tag(path: str, tag: Tag, declared: set[str], metric: Metric, found: Collector, undeclared: Severity) -> None:
    """Report a tag that cannot be filled in; `undeclared` is how much an argument of no declaration weighs."""
    name = tag.name
    if (name.startswith(ARGS) and name.removeprefix(ARGS) in declared) or (found.full() and found.full("warning")):
        return
    shown = f"{{{{{echo(name)}}}}}"
    if name.startswith(ARM) and "compare" in provider_names(metric.provider):
        problem = _unknown_arm(path, name.removeprefix(ARM), shown, metric)
        if problem is not None:
            found.add(problem)
    elif name.startswith(ARM):
        found.add(Problem("UndeclaredArg", path, f"{shown} has a meaning in a comparison only"))
    elif name.startswith(ARGS):
        hint = suggest(name.removeprefix(ARGS), declared) if declared else "Declare it under spec.args."
        found.add(Problem("UndeclaredArg", path, f"{shown} is not declared", hint=hint, severity=undeclared))
    else:
        hint = suggest(f"args.{name}", [f"args.{known}" for known in declared])
        found.add(
            Problem("UndeclaredArg", path, f"{shown} is unknown; only {{{{args.<name>}}}} is filled in", hint=hint)
        )


def _unknown_arm(path: str, name: str, shown: str, metric: Metric) -> Problem | None:
    plugin = metric.provider.get("plugin")
    spec = metric.provider.get("compare") or (plugin.get("compare") if isinstance(plugin, dict) else None) or {}
    for arm, values in (spec.get("arms") or {}).items():
        if name not in values:
            text = f"{shown} has no value in arm '{arm}'"
            return Problem("UndeclaredArm", path, text, hint=suggest(name, values))
    return None


def _argument_problems(argument: Argument, path: str, *, strict: bool) -> Iterator[Problem]:
    value = argument.value
    if value is not None and argument.value_from is not None:
        text = "value and valueFrom are both set; exactly one is wanted (valueFrom wins)"
        yield Problem("ExactlyOne", path, text, severity=_trap(strict))
    if argument.value_from is not None and argument.value_from.field_ref is not None:
        text = "fieldRef is filled in for a Rollout's own arguments only, never here"
        yield Problem("FieldRefUnresolved", path, text, hint="Supply the value with the run.", severity=_trap(strict))
    if value is None:
        return
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        yield Problem("TooLarge", path, f"value is {grouped(size)} bytes; limit {grouped(MAX_VALUE_BYTES)}")
        return
    hidden = CONTROL.search(value)
    if hidden or not _JSON_KNOWS.fullmatch(go_escape(value)):
        which = f"U+{ord(hidden[0]):04X}" if hidden else "a character that cannot be filled in"
        yield Problem("ControlCharacter", path, f"{which} in the value")
    if "{{" in value:
        text = "the value holds {{, which is used as it is: arguments are filled in once"
        yield Problem("TagInValue", path, text, severity="warning")


def _secret_reference(name: str, secret: str) -> Iterator[Problem]:
    if "/" in secret:
        text = f"secret '{echo(secret)}' is outside the run's namespace"
        yield Problem("SecretOutsideNamespace", child("args", name), text, hint="Name a secret of this namespace.")


def _check_uses(
    template: Template, values: dict[str, str], secrets: set[str], found: Collector, *, strict: bool
) -> None:
    for index, metric in enumerate(template.metrics):
        for problem in _uses(metric, f"spec.metrics[{index}]", values, secrets, strict=strict):
            found.add(problem)
            if found.full(problem.severity):
                return


def _uses(metric: Metric, base: str, values: dict[str, str], secrets: set[str], *, strict: bool) -> Iterator[Problem]:
    for where, text in strings(metric):
        if "{{" not in text:
            continue
        try:
            found = list(tags(text))
        except ArgumentError:
            continue
        judged: set[tuple[str, str]] = set()
        for tag, quote in zip(found, _quotes(text, [tag.start for tag in found]), strict=True):
            name = tag.name.removeprefix(ARGS)
            if (name, quote) in judged:  # the same value in the same kind of place: said once
                continue
            judged.add((name, quote))
            if name in secrets:
                yield from _secret_use(f"{base}.{where}", where, name, strict=strict)
            elif name in values:
                whole = text[: tag.start].strip() == "" == text[tag.end :].strip()
                yield from _value_use(f"{base}.{where}", where, name, values[name], quote, whole=whole, strict=strict)


def _secret_use(path: str, where: str, name: str, *, strict: bool) -> Iterator[Problem]:
    if where in LIMITS or where in ("interval", "initialDelay", *CONDITIONS):
        text = f"args.{name} is a secret: it is not known when this is read"
        yield Problem("SecretNotHere", path, text, severity=_trap(strict))
    elif where.startswith("provider.") and not _NOT_A_QUERY.search("." + where):
        text = f"the secret args.{name} would be part of the query, which is stored and shown"
        hint = "Send secrets in headers or authentication."
        yield Problem("SecretInQuery", path, text, hint=hint, severity=_trap(strict))


def _value_use(
    path: str, where: str, name: str, value: str, quote: str, *, whole: bool, strict: bool
) -> Iterator[Problem]:
    """quote: the quote that the tag stands inside of, if any. whole: the tag is the whole text."""
    shown, weight = echo(value), _trap(strict)
    ends = bool(quote) and (quote in value or "\\" in value or "\n" in value)
    if where in CONDITIONS:
        if ends:
            message = f"args.{name} would end the text it stands in; got '{shown}'"
            yield Problem("ArgInExpression", path, message, severity=weight)
        elif not quote and not (_LITERAL.fullmatch(value) or _LITERALS.fullmatch(value)):
            message = f"args.{name} must be a number literal here; got '{shown}'"
            if whole:
                message = f"the whole condition comes from args.{name}; got '{shown}'"
            yield Problem("ArgInExpression", path, message, severity=weight)
    elif where in LIMITS:
        if whole and not is_int(value):
            yield Problem("NotAnInteger", path, f"'{shown}' from args.{name} is not an integer", severity=weight)
    elif where == "interval":
        if whole and not value:
            message = f"args.{name} is empty: the metric would have no interval"
            yield Problem("EmptyInterval", path, message, severity=weight)
    elif ends and where.startswith("provider.") and not _NOT_A_QUERY.search("." + where):
        message = f"args.{name} would end the quoted text it stands in; got '{shown}'"
        hint = f"Values here may not hold {quote}, a backslash or a line break; quote them before you supply them."
        yield Problem("ArgInQuery", path, message, hint=hint, severity=weight)


def _quotes(text: str, places: Sequence[int]) -> list[str]:
    """For each place (ascending) the quote of an expression or query that it is inside of, "" if it is in none."""
    found: list[str] = []
    quote, index = "", 0
    for place in places:
        while index < place:
            character = text[index]
            if quote and character == "\\" and quote != "`":
                index += 1
            elif quote:
                quote = "" if character == quote else quote
            elif character in "\"'`":
                quote = character
            index += 1
        found.append(quote)
    return found
