"""Kayenta's query templates, and the Prometheus query that a metric of a canary config means."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from analysis_service.core.statistics.kayenta_config import Json

_VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
PROMQL: Final = "PromQL:"


class QueryError(ValueError):
    """The query cannot be made; the text says what is missing."""


def expand(template: str, bindings: Mapping[str, object]) -> str:
    """Fill in ${name}; `$\\{name}` is read as the same. Raises QueryError for a name without a value."""

    def value(match: re.Match[str]) -> str:
        name = match[1].strip()
        found = bindings.get(name)
        if found is None:
            raise QueryError(f"undefined variable {name!r}; known are {', '.join(sorted(bindings)) or 'none'}")
        return str(found)

    return _VARIABLE.sub(value, template.replace("$\\{", "${"))


def custom_filter(
    query: Mapping[str, Json], templates: Mapping[str, str], bindings: Mapping[str, object]
) -> str | None:
    """The metric's own template, filled in; None if it has none. The inline one wins. Raises QueryError."""
    inline, name = query.get("customInlineTemplate"), query.get("customFilterTemplate")
    if query.get("customFilter"):
        raise QueryError("customFilter is no longer read; write it as customInlineTemplate")
    if inline:
        return expand(str(inline), bindings)
    if not name:
        return None
    template = templates.get(str(name))
    if template is None:
        raise QueryError(f"customFilterTemplate {name!r}: no such template; there are {sorted(templates)}")
    return expand(template, bindings)


def prometheus_query(query: Mapping[str, Json], templates: Mapping[str, str], bindings: Mapping[str, object]) -> str:
    """The PromQL that Kayenta would send, as a range query with the scope's start, end and step.

    query: the metric's `query`. bindings: scope and location under those names, and the extended scope parameters.
    Raises QueryError.
    """
    text = custom_filter(query, templates, bindings)
    if text is not None and text.startswith(PROMQL):
        return text.removeprefix(PROMQL)
    labels = _texts(query.get("labelBindings"))
    parts = [text, *labels] if text else [*labels, *_resource(query.get("resourceType"), bindings)]
    name, fields = query.get("metricName"), _texts(query.get("groupByFields"))
    if not name:
        raise QueryError("metricName: missing, and the template does not begin with 'PromQL:'")
    by = f" by ({','.join(fields)})" if fields else ""
    return f"avg({name}{{{','.join(parts)}}}){by}"


def _resource(kind: Json, bindings: Mapping[str, object]) -> list[str]:
    scope, location = bindings.get("scope"), bindings.get("location")
    if kind == "gce_instance":
        return [f'instance=~"{scope}-.{{4}}"', f'zone=~".+/zones/{location}-.{{1}}"']
    if kind == "aws_ec2_instance":
        return [f'asg_groupName="{scope}"', f'zone=~"{location}.{{1}}"']
    if not kind:
        raise QueryError("neither a template nor a resourceType says which series are meant")
    raise QueryError(f"resourceType {kind!r}: known are gce_instance and aws_ec2_instance; use a template")


def _texts(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
