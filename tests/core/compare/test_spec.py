"""Reading a comparison: defaults, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest

from analysis_service.core.compare.spec import (
    Shape,
    SpecError,
    comparison_of,
    default_test,
    parse,
    plan_of,
    share_of,
)
from analysis_service.core.model import Metric
from analysis_service.core.statistics.looks import Counts, Gauge, Histogram
from analysis_service.core.statistics.plan import Margin
from analysis_service.core.statistics.registry import families

EVERY = timedelta(seconds=30)


def written(**fields: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "arms": {"canary": {"hash": "new"}, "stable": {"hash": "old"}},
        "counts": {
            "events": {"prometheus": {"query": 'errors{hash="{{arm.hash}}"}'}},
            "totals": {"prometheus": {"query": 'requests{hash="{{arm.hash}}"}'}},
        },
        "margin": {"relative": 0.5},
        "maxDuration": "20m",
    }
    spec |= fields
    return {key: value for key, value in spec.items() if value is not None}


GAUGE = {"counts": None, "gauge": {"web": {"url": "http://x/{{arm.hash}}"}}}
PAST = {**GAUGE, "arms": {"canary": {"hash": "new"}, "history": {"hash": "any"}}, "seasonalBaseline": "24h"}
RANGED = {"prometheus": {"query": "q", "rangeQuery": {"start": "now()", "end": "now()", "step": "1m"}}}
HISTOGRAM = {"counts": None, "histogram": {"prometheus": {"query": 'b{hash="{{arm.hash}}"}'}}}


def test_defaults() -> None:
    spec = parse(written(), EVERY)
    plan = plan_of(spec, 1.0)
    assert (spec.shape, spec.test, spec.until, spec.missing) == ("counts", "sequential-rate-ratio", "verdict", "skip")
    assert (plan.alpha, plan.beta, plan.fail_at, plan.min_bake, plan.planned_looks) == (0.05, 0.05, "noharm", 0.25, 40)
    assert plan.margin == Margin(relative=0.5)
    assert [(ask.arm, ask.part, ask.union["prometheus"]["query"]) for ask in spec.asks] == [
        ("canary", "events", 'errors{hash="new"}'),
        ("canary", "totals", 'requests{hash="new"}'),
        ("stable", "events", 'errors{hash="old"}'),
        ("stable", "totals", 'requests{hash="old"}'),
    ]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, "http://x/any"),
        ({"arms": {"canary": {}}, "gauge": {"web": {"url": "http://x"}}}, "http://x"),  # the same, then and now
    ],
)
def test_the_past_in_stable_s_place(fields: dict[str, Any], asked: str) -> None:
    spec = parse(written(**{**PAST, **fields}), EVERY)
    assert (spec.test, spec.single_arm, spec.season) == ("sequential-t", False, timedelta(hours=24))
    assert [ask.arm for ask in spec.questions] == ["canary"]
    assert spec.past is not None
    assert (spec.past.arm, spec.past.part, spec.past.union["web"]["url"]) == ("history", "level", asked)
    assert [ask.arm for ask in spec.every_question] == ["canary", "history"]
    assert parse(written(seasonalBaseline="off"), EVERY).season is None


@pytest.mark.parametrize(
    ("fields", "test", "fail_at"),
    [
        ({}, "sequential-rate-ratio", "noharm"),
        (GAUGE, "sequential-t", "margin"),
        (HISTOGRAM, "sequential-histogram", "margin"),
        ({"arms": {"canary": {"hash": "new"}}, "objective": 0.01}, "objective", "noharm"),
        ({"failAt": "margin"}, "sequential-rate-ratio", "margin"),
        # what was filled in by an argument is text
        ({"alpha": "0.01", "margin": {"relative": "0.2"}, "minBake": "0.5"}, "sequential-rate-ratio", "noharm"),
    ],
)
def test_the_shape_of_the_data_picks_the_test(fields: dict[str, Any], test: str, fail_at: str) -> None:
    spec = parse(written(**fields), EVERY)
    assert (spec.test, plan_of(spec, 1.0).fail_at) == (test, fail_at)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"margin": None}, "margin: missing"),
        ({"margin": {}}, "exactly one of relative, absolute"),
        ({"margin": {"relative": -1}}, "margin.relative: a number from 0 up is wanted, found -1"),
        ({"maxDuration": None}, "maxDuration: missing"),
        ({"maxDuration": "20"}, "maxDuration: time: missing unit"),
        ({"maxDuration": "0s"}, "maxDuration: a duration above 0"),
        ({"arms": {}}, "arms.canary: missing"),
        ({"arms": {"canary": {}, "stable": {}}}, "arms.canary: failed to resolve {{arm.hash}}"),
        ({"arms": {"canary": {"hash": "a"}}}, "objective: missing"),
        ({**GAUGE, "arms": {"canary": {"hash": "a"}}}, "arms.stable: missing"),
        ({"gauge": {"web": {}}}, "exactly one of counts, histogram, gauge"),
        ({"test": "sequential-t"}, "test: 'sequential-t' cannot use counts"),
        ({**GAUGE, "test": "fisher-exact"}, "cannot use gauge"),
        ({"alpha": 0}, "alpha: a probability above 0"),
        ({"alpha": "many"}, "alpha: a number is wanted, found 'many'"),
        ({"direction": "up"}, "direction: one of increase, decrease, either is wanted"),
        ({**GAUGE, "test": "welch", "looks": 5}, "welch is made for a single look"),
        ({**GAUGE, "test": "kayenta", "looks": 5, "spending": "pocock"}, "it has no spending rule"),
        (
            {**GAUGE, "test": "welch", "until": "terminated", "maxDuration": None},
            "maxDuration: missing: welch decides at maxDuration",
        ),
        ({**GAUGE, "test": "ks"}, "ks compares whole distributions"),
        ({**GAUGE, "test": "ks", "margin": {"absolute": 2}}, "between 0 and 1"),
        ({"test": "sprt", "margin": {"absolute": 0.1}}, "sprt compares ratios"),
        ({"test": "fisher-exact", "margin": {"absolute": 0.1}}, "fisher-exact compares ratios"),
        ({"test": "group-sequential", "margin": {"absolute": 0.1}}, "group-sequential compares ratios"),
        ({**GAUGE, "test": "kayenta", "kayenta": {"critical": "yes"}}, "kayenta.critical: true or false"),
        ({"test": "sample-ratio", "margin": None}, "canaryWeight: missing"),
        ({"canaryWeight": 120}, "canaryWeight: a number from 0 to 100"),
        ({"canaryWeight": 5, "canaryWeightFrom": {"web": {}}}, "both set"),
        ({"canaryWeightFrom": {}}, "canaryWeightFrom: exactly one provider"),
        ({"canaryWeightFrom": {"web": {"url": "{{arm.hash}}"}}}, "the share is the run's, not an arm's"),
        ({**GAUGE, "canaryWeightFrom": {"web": {}}}, "a gauge counts no requests"),
        (
            {"counts": {"events": {"prometheus": {"query": "rate(x[1m])"}}, "totals": {"prometheus": {"query": "x"}}}},
            "both be counters",
        ),
        ({"gauge": RANGED, "counts": None}, "gauge: rangeQuery: leave it out"),
        ({"gauge": {"plugin": RANGED}, "counts": None}, "gauge: rangeQuery: leave it out"),
        # one's own past: a gauge's, with values of its own, and no stable version beside it
        ({"seasonalBaseline": "24h"}, "seasonalBaseline: only a gauge can be compared with its past; for counts give"),
        ({**GAUGE, "seasonalBaseline": "24h"}, "arms.stable and seasonalBaseline are both set; keep arms.stable if"),
        (
            {**GAUGE, "arms": {"canary": {"hash": "new"}}, "seasonalBaseline": "24h"},
            "seasonalBaseline: arms.history is missing: the query uses {{arm.x}}",
        ),
        ({**PAST, "seasonalBaseline": None}, "seasonalBaseline: missing: nothing else asks for arms.history"),
        ({**PAST, "test": "sequential-mean"}, "test: sequential-mean does not know how much innocent days differ"),
        ({**PAST, "seasonalBaseline": "30m"}, "seasonalBaseline: a period of an hour or more is wanted, such as 24h"),
        ({**PAST, "seasonalBaseline": "1 day"}, "seasonalBaseline: time: "),
        (
            {**PAST, "arms": {"canary": {"hash": "new"}, "history": {}}},
            "arms.history: failed to resolve {{arm.hash}}",
        ),
        # nothing exceeds a share of 1: these would let everything pass
        (
            {"absoluteFloor": 5},
            "absoluteFloor: a share of the events below 1 is wanted, which none exceeds, found 5; 5% is 0.05",
        ),
        ({"margin": {"absolute": 2}}, "margin.absolute: a share of the events below 1"),
        ({"arms": {"canary": {"hash": "a"}}, "objective": 99.9}, "objective: a share of the events below 1"),
        ({"alpha": 5}, "alpha: a probability above 0 and at most 0.5 is wanted, found 5; 5% is 0.05"),
        ({"weightOf": 0}, "weightOf: a number above 0 is wanted, found 0"),
        ({"weightOf": -1}, "weightOf: a number above 0"),
        # a version compared with itself is as good as itself
        ({"arms": {"canary": {"hash": "a"}, "stable": {"hash": "a"}}}, "arms: both ask the very same"),
        ({**GAUGE, "gauge": {"web": {"url": "http://x"}}}, "arms: both ask the very same"),
        ({"counts": {"events": {"scrape": {"as": "delta", "query": "x"}}, "totals": {}}}, "scrape.as: delta"),
        ({"counts": {"events": {"web": {"url": "x"}}}}, "counts.totals: exactly one provider"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(written(**fields), EVERY)
    assert said in str(error.value)


def test_all_mistakes_are_told_at_once() -> None:
    fields = {"alpha": 5, "beta": 0, "direction": "up", "minBake": 3, "absoluteFloor": -1, "warmUp": "5"}
    with pytest.raises(SpecError) as error:
        parse(written(**fields, margin={"relative": -1}), EVERY)
    found = [one.where for one in error.value.mistakes]
    assert sorted(found) == sorted([*fields, "margin.relative"])


def test_events_alone_may_differ_between_the_arms() -> None:
    """The total may be an exposure that both have in common."""
    counts = written()["counts"] | {"totals": {"prometheus": {"query": "hours_total"}}}
    assert len(parse(written(counts=counts), EVERY).asks) == 4


def test_an_interval_is_needed() -> None:
    with pytest.raises(SpecError, match="interval"):
        parse(written(), None)


def test_scrapes_read_values() -> None:
    union = {"scrape": {"targets": ["http://{{arm.hash}}/metrics"], "query": "x_total"}}
    spec = parse(written(counts={"events": union, "totals": {"plugin": union}}), EVERY)
    assert spec.asks[0].union == {"scrape": {"targets": ["http://new/metrics"], "query": "x_total", "as": "value"}}
    assert spec.asks[1].union["plugin"]["scrape"]["as"] == "value"


def test_a_comparison_may_stand_under_plugin() -> None:
    assert comparison_of({"plugin": {"compare": {"x": 1}}}) == {"x": 1}
    assert comparison_of({"prometheus": {}}) is None


def metric(name: str, weight: float | None = None, *, vital: bool = False, **fields: Any) -> Metric:
    return Metric(name, interval="30s", provider={"compare": written(**fields)}, weight=weight, critical=vital)


def test_a_plan_knows_of_what_its_alpha_is_a_part() -> None:
    plan = plan_of(parse(written(alpha=0.01), EVERY), 0.25)
    assert (plan.alpha, plan.run_alpha) == (0.0025, 0.01)


OTHER = Metric("plain", provider={"prometheus": {"query": "up"}})


@pytest.mark.parametrize(
    ("metrics", "shares"),
    [
        ([(metric("a"), False)], {"a": 1.0}),
        ([(metric("a"), False), (metric("b"), False)], {"a": 0.5, "b": 0.5}),
        ([(metric("a"), False), (OTHER, False)], {"a": 1.0}),  # only comparisons spend alpha
        ([(metric("a", 3), False), (metric("b"), False)], {"a": 0.75, "b": 0.25}),
        ([(metric("a", 9, weightOf="3"), False), (metric("b"), False)], {"a": 0.75, "b": 0.25}),
        ([(metric("a", vital=True), False), (metric("b"), False)], {"a": 0.8, "b": 0.2}),
        ([(metric("a", critical=True), False), (metric("b"), False)], {"a": 0.8, "b": 0.2}),
        # a dry run can fail nothing: it takes nothing from the others
        ([(metric("a"), False), (metric("b"), True)], {"a": 1.0, "b": 1.0}),
    ],
)
def test_alpha_is_shared_out(metrics: list[tuple[Metric, bool]], shares: dict[str, float]) -> None:
    found = {name: share_of(name, metrics) for name in shares}
    assert found == pytest.approx(shares)
    assert sum(share_of(m.name, metrics) for m, dry in metrics if not dry and m.name != "plain") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("shape", "single", "test", "data"),
    [
        ("counts", False, "sequential-rate-ratio", Counts),
        ("counts", True, "objective", Counts),  # one arm of counts is held against an objective
        ("histogram", False, "sequential-histogram", Histogram),
        ("gauge", False, "sequential-t", Gauge),
    ],
)
def test_a_default_test_takes_what_its_shape_carries(shape: Shape, single: bool, test: str, data: type) -> None:
    assert default_test(shape, single=single) == test
    assert families()[test].shapes[0] is data
