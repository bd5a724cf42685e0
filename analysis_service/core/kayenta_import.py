"""A Kayenta canary config -> an AnalysisTemplate that compares canary with stable, and a list of what got lost.

With `test="kayenta"` each metric is judged by Kayenta's own rule, once, over the whole run; with `test="default"` by
the statistical test that fits the data, looked at as it comes. The scopes of Kayenta's execution request become
arguments of the template: `canary-scope`, `stable-scope`, and likewise for every variable that a query uses.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from analysis_service.core.statistics.kayenta_config import (
    CanaryConfig,
    CanaryOptions,
    ConfigError,
    Direction,
    Json,
    Measure,
    MetricConfig,
    NanStrategy,
    lookup,
    parse_config,
)
from analysis_service.core.statistics.kayenta_query import QueryError, custom_filter, prometheus_query

DEFAULT_THRESHOLDS: Final = (95.0, 75.0)  # pass and marginal as Kayenta's own user interface proposes them
DEFAULT_MARGIN: Final = 0.1  # where the config names no effect size that could be one
JUDGE: Final = "NetflixACAJudge-v1.0"
_KNOWN: Final = frozenset(
    {"id", "name", "description", "configVersion", "applications", "judge", "metrics", "templates", "classifier"}
    | {"createdTimestamp", "createdTimestampIso", "updatedTimestamp", "updatedTimestampIso"}
)
Template = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Lost:
    """Something of the canary config that the template does not say, or says otherwise. path: where it stood."""

    path: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """template: an AnalysisTemplate as data, ready to be written. lost: in the order of the config."""

    template: Template
    lost: tuple[Lost, ...]


@dataclass(slots=True)
class _Arms(Mapping[str, object]):
    """What the variables of a query stand for: an arm's value each, but where the query's own attributes say."""

    fixed: Mapping[str, str]
    used: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> object:
        if name in self.fixed:
            return self.fixed[name]
        if name not in self.used:
            self.used.append(name)
        return f"{{{{arm.{name}}}}}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.fixed)

    def __len__(self) -> int:
        return len(self.fixed)


def import_canary_config(
    config: Mapping[str, Json],
    *,
    test: Literal["kayenta", "default"] = "kayenta",
    thresholds: tuple[float, float] | None = None,
    interval: str = "60s",
    duration: str = "1h",
) -> Imported:
    """Turn a canary config into a template.

    config: the config's JSON as data. test: Kayenta's rule, or ours. thresholds: (pass, marginal) of 100 as given to
    Kayenta with each request; those of the config, which Kayenta's judge does not read, stand in, and 95 and 75 then.
    interval: Kayenta's step, as a Go duration: one point per arm and interval. duration: its lifetime.

    Raises ConfigError, with a sentence, for what the judge itself could not read, or if no metric can be asked for.
    """
    parsed = parse_config(config)
    lost: list[Lost] = []
    taken: set[str] = set()
    variables: list[str] = []
    metrics: list[Json] = []
    muted: list[Json] = []
    for place, metric in enumerate(parsed.metrics):
        at = f"metrics[{place}]"
        query = _query(config, place, metric, lost, variables)
        if query is None:
            continue
        name = _unique(metric.name, taken, at, lost)
        canary = lookup(_metric(config, place), "analysisConfigurations", "canary")
        compare: dict[str, Json] = {"gauge": query[0], "arms": query[1], "maxDuration": duration}
        if test == "kayenta":
            compare |= {"test": "kayenta", "kayenta": canary if isinstance(canary, Mapping) else {}}
        else:
            compare |= _ours(metric.options, f"{at}.analysisConfigurations.canary", lost)
        if metric.groups:
            compare["groups"] = list(metric.groups)
        entry: dict[str, Json] = {"name": name, "interval": interval, "provider": {"compare": compare}}
        if metric.options.critical:
            entry["critical"] = True
        if metric.options.must_have_data and test == "default":
            entry["onNoData"] = "fail"
        if metric.options.muted:
            muted.append({"metricName": f"^{re.escape(name)}$"})
        metrics.append(entry)
    if not metrics:
        reasons = "; ".join(f"{item.path}: {item.why}" for item in lost)
        raise ConfigError(f"metrics: none of them can be asked for here ({reasons or 'the config names none'})")
    _whole(config, lost)
    name = _object_name(config, lost)
    args: list[Json] = [{"name": f"{arm}-{variable}"} for variable in variables for arm in ("canary", "stable")]
    if any("prometheus" in str(lookup(m, "provider", "compare", "gauge")) for m in metrics):
        args.append({"name": "prometheus-address"})
    spec: dict[str, Json] = {"args": args, "metrics": metrics, "score": _score(config, parsed, thresholds, lost)}
    if muted:
        spec["dryRun"] = muted
    template: Template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": name},
        "spec": spec,
    }
    return Imported(template, tuple(lost))


def _query(
    config: Mapping[str, Json], place: int, metric: MetricConfig, lost: list[Lost], variables: list[str]
) -> tuple[Json, Json] | None:
    """(provider, arms) that ask what the metric asks, or None if nothing here can."""
    at = f"metrics[{place}].query"
    query, templates = lookup(_metric(config, place), "query"), config.get("templates")
    scope = lookup(_metric(config, place), "scopeName")
    if not isinstance(query, Mapping):
        lost.append(Lost(at, metric.name, "the metric has no query, so it is left out"))
        return None
    kind = str(query.get("serviceType") or query.get("type") or "")
    fixed = {key: str(query[key]) for key in ("resourceType", "project", "location", "scope") if query.get(key)}
    arms = _Arms(fixed)
    texts = {str(k): str(v) for k, v in templates.items()} if isinstance(templates, Mapping) else {}
    provider: Json
    try:
        if kind == "prometheus":
            by = query.get("groupByFields")
            if by:
                lost.append(
                    Lost(
                        f"{at}.groupByFields", str(by), "one verdict per label set is not made; the series are averaged"
                    )
                )
            plain = {key: value for key, value in query.items() if key != "groupByFields"}
            text = prometheus_query(plain, texts, arms)
            provider = {"prometheus": {"address": "{{args.prometheus-address}}", "query": text}}
        elif kind == "datadog":
            text = _inline(query, texts, arms)
            provider = {"datadog": {"apiVersion": "v2", "query": text}}
        elif kind == "newrelic":
            provider = {"newRelic": {"query": _inline(query, texts, arms)}}
        elif kind == "graphite":
            provider = {"graphite": {"query": _inline(query, texts, arms)}}
        else:
            why = f"queries of type {kind or 'unknown'} are not translated; the metric is left out"
            lost.append(Lost(at, metric.name, why))
            return None
    except QueryError as problem:
        lost.append(Lost(at, metric.name, f"{problem}; the metric is left out"))
        return None
    prefix = "" if scope in (None, "", "default") else f"{scope}-"
    for variable in arms.used:
        if prefix + variable not in variables:
            variables.append(prefix + variable)
    if not arms.used:
        lost.append(Lost(at, metric.name, "the query uses no ${scope}: both arms ask the same and cannot differ"))
    return provider, {
        arm: {variable: f"{{{{args.{arm}-{prefix}{variable}}}}}" for variable in arms.used}
        for arm in ("canary", "stable")
    }


def _inline(query: Mapping[str, Json], templates: Mapping[str, str], arms: _Arms) -> str:
    text = custom_filter(query, templates, arms)
    if not text:
        raise QueryError("only queries that a template spells out are translated for this store")
    return text


def _ours(options: CanaryOptions, at: str, lost: list[Lost]) -> dict[str, Json]:
    """Settings of our default test that come nearest to the canary's."""
    found: dict[str, Json] = {"direction": options.direction.value, "margin": {"relative": DEFAULT_MARGIN}}
    effect = options.effect
    if effect.measure is Measure.CLES:
        lost.append(Lost(f"{at}.effectSize", "cles", f"a chance is no margin; {DEFAULT_MARGIN:.0%} of stable is set"))
    else:
        up, down = effect.allowed_increase - 1, 1 - effect.allowed_decrease
        sides = {Direction.INCREASE: (up,), Direction.DECREASE: (down,), Direction.EITHER: (up, down)}
        wanted = [side for side in sides[options.direction] if side > 0]
        if wanted:
            found["margin"] = {"relative": round(min(wanted), 12)}
        else:
            why = f"it leaves no room for noise, so a margin of {DEFAULT_MARGIN:.0%} of stable is set"
            lost.append(Lost(f"{at}.effectSize", "an allowed change of none", why))
        if wanted and len(set(sides[options.direction])) > 1:
            lost.append(
                Lost(f"{at}.effectSize", "two limits", "there is one margin for both sides; the smaller is set")
            )
    if (effect.critical_increase, effect.critical_decrease) not in ((1.0, 1.0), (0.5, 0.5)):
        lost.append(
            Lost(f"{at}.effectSize", "criticalIncrease/criticalDecrease", "critical metrics fail at the same margin")
        )
    if options.nan_strategy is NanStrategy.REPLACE:
        found["missing"] = "zero"
    if options.remove_outliers:
        lost.append(Lost(f"{at}.outliers", "remove", "outliers are clipped by what the look-back shows, not removed"))
    return found


def _score(
    config: Mapping[str, Json], parsed: CanaryConfig, thresholds: tuple[float, float] | None, lost: list[Lost]
) -> dict[str, Json]:
    written = lookup(config.get("classifier"), "scoreThresholds")
    pass_, marginal = thresholds or DEFAULT_THRESHOLDS
    if thresholds is None:
        why = f"Kayenta takes them from each request; {pass_:g} and {marginal:g} are set"
        found = lookup(written, "pass"), lookup(written, "marginal")
        numbers = [float(v) for v in found if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) == 2 and 0 <= numbers[1] <= numbers[0] <= 100:
            pass_, marginal = numbers
            why = "Kayenta's judge takes them from each request and never from the config; the config's are set"
        lost.append(Lost("classifier.scoreThresholds", f"pass {pass_:g}, marginal {marginal:g}", why))
    weights = dict(parsed.group_weights)
    total = sum(weights.values())
    if any(weight < 0 for weight in weights.values()):
        lost.append(Lost("classifier.groupWeights", "a negative weight", "weights are from 0 up; 0 is set"))
        weights = {group: max(weight, 0.0) for group, weight in weights.items()}
        total = sum(weights.values())
    if total > 100:
        why = "together they are 100 at most; they are scaled down"
        lost.append(Lost("classifier.groupWeights", f"{total:g} together", why))
        weights = {group: weight * 100 / total for group, weight in weights.items()}
    used = {group for metric in parsed.metrics for group in metric.groups}
    for group in (group for group in weights if group not in used):
        why = "no metric is in it: Kayenta would lose these points, here the other groups share them"
        lost.append(Lost(f"classifier.groupWeights.{group}", f"weight {weights[group]:g}", why))
    for place, metric in enumerate(parsed.metrics):
        if used and not metric.groups and not metric.options.muted:
            why = "it would not count in Kayenta's score; here it counts in a group of its own, `default`"
            lost.append(Lost(f"metrics[{place}].groups", f"{metric.name} is in no group", why))
    return {"groupWeights": dict(weights), "scoreThresholds": {"pass": pass_, "marginal": marginal}}


def _whole(config: Mapping[str, Json], lost: list[Lost]) -> None:
    judge = lookup(config.get("judge"), "name")
    if judge not in (None, JUDGE):
        lost.append(Lost("judge.name", str(judge), f"only {JUDGE} is known; the metrics are judged without it"))
    if lookup(config.get("judge"), "judgeConfigurations"):
        lost.append(Lost("judge.judgeConfigurations", "settings of the judge", "no judge reads them"))
    for key in ("description", "applications"):
        if config.get(key):
            lost.append(Lost(key, str(config[key]), "informative; a template has no such field"))
    for key in config:
        if key not in _KNOWN:
            lost.append(Lost(key, str(config[key])[:80], "not a field of a canary config"))


def _object_name(config: Mapping[str, Json], lost: list[Lost]) -> str:
    written = config.get("name")
    name = re.sub(r"[^a-z0-9]+", "-", str(written or "").lower()).strip("-")[:253].strip("-") or "canary"
    if name != written:
        lost.append(
            Lost("name", str(written), f"a Kubernetes name has small letters, digits and dashes; {name} is set")
        )
    return name


def _unique(name: str, taken: set[str], at: str, lost: list[Lost]) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    if found != name:
        lost.append(Lost(f"{at}.name", name, f"the name is taken by an earlier metric; {found} is set"))
    taken.add(found)
    return found


def _metric(config: Mapping[str, Json], place: int) -> Json:
    metrics = config["metrics"]
    assert isinstance(metrics, Sequence)
    metric: Json = metrics[place]
    return metric
