"""What is said of a comparison before it runs."""

from pathlib import Path
from typing import Any

import pytest

from analysis_service.core.lint import lint
from analysis_service.core.model import Metric, Template
from analysis_service.core.problems import problems

EXAMPLES = Path(__file__).parents[3] / "examples" / "templates"


def template(metric: dict[str, Any] | None = None, score: Any = None, **spec: Any) -> Template:
    whole: dict[str, Any] = {
        "arms": {"canary": {"v": "a"}, "stable": {"v": "b"}},
        "gauge": {"scrape": {"targets": ["http://x/{{arm.v}}"], "query": "q"}},
        "margin": {"relative": 0.1},
        "maxDuration": "20m",
        **spec,
    }
    whole = {key: value for key, value in whole.items() if value is not None}
    fields: dict[str, Any] = {"name": "m", "interval": "30s", **(metric or {})}
    return Template("t", metrics=(Metric(provider={"compare": whole}, **fields),), score=score)


WEIGHT = {"web": {"url": "http://router/weight", "jsonPath": "{$.canary}"}}
COUNTER = {"scrape": {"targets": ["http://x/{{arm.v}}"], "query": "q"}}
COUNTED = {"gauge": None, "counts": {"events": COUNTER, "totals": COUNTER}}
PAST = {"canary": {"v": "a"}, "history": {"v": "any"}}
ALONE = {"prometheus": {"address": "http://x", "query": "q"}}
ASKED = {"gauge": {"prometheus": {"address": "http://x", "query": "q{v='{{arm.v}}'}"}}}
WEB = {"url": "http://x", "jsonPath": "{$.x}"}
RATE = {"prometheus": {"query": 'sum(rate(x{v="{{arm.v}}"}[5m]))'}}


def counts(query: str) -> dict[str, Any]:
    union = {"prometheus": {"query": query}}
    return {"gauge": None, "counts": {"events": union, "totals": union}}


def histogram(query: str) -> dict[str, Any]:
    return {"gauge": None, "histogram": {"prometheus": {"query": query}}}


ONE_ARM = {**counts('x{v="{{arm.v}}"}'), "arms": {"canary": {"v": "a"}}, "margin": None}


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (template(), []),
        (template(until="terminated", maxDuration=None), []),  # ends when the run is terminated
        (template(maxDuration=None), ["Required"]),
        (template({"failure_limit": 1}), ["CannotFail"]),
        (template({"failure_limit": 0, "count": 1}), []),
        (template({"count": 2}), ["ComparisonCount"]),
        (template(test="fisher-exact"), ["SingleLook", "BadComparison"]),  # a gauge has no counts
        (template(test="welch", looks=5), ["BadComparison"]),
        (template(test="welch", looks=5, spending="pocock"), []),
        (template(gauge={"scrape": {"targets": ["http://x"], "query": "q", "as": "rate"}}), ["BadComparison"]),
        (template(arms={"canary": {"v": "a"}, "stable": {}}), []),  # told where the value is used: UndeclaredArm
        (template(arms={"canary": {"v": "a"}, "stable": {"v": "a"}}), ["BadComparison"]),  # a version against itself
        (template(arms={"canary": {"v": "{{args.a}}"}, "stable": {"v": "{{args.a}}"}}), ["BadComparison"]),
        (template(arms={"canary": {"v": "{{args.a}}"}, "stable": {"v": "{{args.b}}"}}), []),
        # an argument elsewhere hides nothing, and several mistakes are told at once
        (
            template(arms={"canary": {"v": "{{args.a}}"}, "stable": {"v": "b"}}, beta=0, failAt="never"),
            ["BadComparison"] * 2,
        ),
        (template(weightOf=0, minSamples=-1, direction="{{args.d}}"), ["BadComparison"] * 2),
        (template(test="{{args.t}}", beta=0), []),  # anything may follow from the test
        (template(gauge=None, counts={"events": RATE, "totals": RATE}), ["OverlappingLooks"]),
        # one measurement: what forgives it lets everything pass, and what wants more of them nothing
        (template({"inconclusive_limit": 1}), ["CannotFail"]),
        (template({"inconclusive_limit": "{{args.n}}"}), []),
        (template({"inconclusive_limit": 0, "consecutive_success_limit": 1}), []),
        (template({"consecutive_success_limit": 3}), ["CannotSucceed"]),
        # allowed, and hardly meant
        (template(margin={"relative": 50}), ["OddSize"]),
        (template(margin={"relative": 4}), []),
        (template(margin={"relative": 0}), ["OddSize"]),
        (template(**ONE_ARM, objective=0.999), ["OddSize"]),
        (template(**ONE_ARM, objective=0.999, direction="decrease"), []),
        (template(**ONE_ARM, objective=0.001), []),
        (template(maxDuration="30s"), ["TooFewLooks"]),
        (template({"interval": "{{args.every}}"}, maxDuration="30s"), []),
        (template(warmUp="20m"), ["TooFewLooks"]),
        # what the test or the data have no use for
        (template(looks=5), ["UnusedField"]),
        (template(test="group-sequential", looks=5, spending="pocock"), []),
        (template(test="welch", spending="pocock"), ["SingleLook"]),
        (template(spending="pocock", objective=0.1, kayenta={}, cumulative=True), ["UnusedField"] * 4),
        (template(missing="zero"), ["OddSize"]),  # a dead canary has the best value
        (template(missing="zero", direction="decrease"), []),
        (template(**COUNTED, missing="zero"), ["UnusedField"]),
        (template(canaryWeight=5), ["UnusedField"]),
        # PromQL that cannot give what is needed of it
        (template(**histogram('sum by (pod, le) (b{v="{{arm.v}}"})')), []),
        (template(**histogram('b{v="{{arm.v}}"}')), []),
        (template(**histogram('sum by (pod) (b{v="{{arm.v}}"})')), ["NoBuckets"]),
        (template(**histogram('sum(b{v="{{arm.v}}"}) by (le)')), ["SummedCounters"]),
        (template(**histogram('sum without (code) (b{v="{{arm.v}}"})')), []),
        (template(**histogram('histogram_quantile(.9, sum by (le) (b{v="{{arm.v}}"}))')), ["NoBuckets"]),
        (template(**counts('sum by (pod) (x{v="{{arm.v}}"})')), []),
        (template(**counts('sum(x{v="{{arm.v}}"}) by (instance)')), []),
        (template(**counts('sum(x{v="{{arm.v}}"})')), ["SummedCounters"] * 2),
        (template(**counts('sum(increase(x{v="{{arm.v}}"}[30s]))')), []),
        (template(gauge={"prometheus": {"query": 'rate(x{v="{{arm.v}}"}[5m])'}}), ["OverlappingLooks"]),
        (template(gauge={"prometheus": {"query": 'rate(x{v="{{arm.v}}"}[30s])'}}), []),
        # the canary's share of traffic: a percentage, or a question about it
        (template(**COUNTED, canaryWeight=10), []),
        (template(**COUNTED, canaryWeight="{{args.weight}}"), []),
        (template(**COUNTED, canaryWeight=120), ["OutOfRange"]),
        (template(**COUNTED, canaryWeightFrom=WEIGHT), []),
        (template(**COUNTED, canaryWeight=10, canaryWeightFrom=WEIGHT), ["BadComparison"]),
        (template(**COUNTED, canaryWeightFrom={"web": {"url": "router/weight"}}), ["BadAddress"]),
        (template(**COUNTED, canaryWeightFrom={"web": {"url": "http://{{arm.v}}"}}), ["BadComparison"]),
        (template(canaryWeightFrom=WEIGHT), ["BadComparison"]),  # a gauge counts no requests
        # a gauge without a stable version beside the canary, and its own past instead
        (template(**ASKED, arms=PAST, seasonalBaseline="24h"), []),
        (template(**ASKED, arms=PAST, seasonalBaseline="{{args.season}}"), []),
        (template(arms={"canary": {}}, gauge=ALONE, seasonalBaseline="168h"), []),  # the same query, then and now
        (template(arms={"canary": {}}, gauge=ALONE), ["Required"]),
        (template(arms={"canary": {}}, gauge=ALONE, seasonalBaseline="off"), ["Required"]),
        (template(seasonalBaseline="off"), []),
        (template(**ASKED, seasonalBaseline="24h"), ["BadComparison"]),  # and a stable arm
        # {{arm.v}} in the past?
        (template(**ASKED, arms={"canary": {"v": "a"}}, seasonalBaseline="24h"), ["BadComparison"]),
        (template(**ASKED, arms={"canary": {"v": "a"}, "history": {}}, seasonalBaseline="24h"), []),  # UndeclaredArm
        (template(**ASKED, arms={**PAST, "stable": {"v": "b"}}), ["BadComparison"]),  # nobody asks for the past
        (template(**ASKED, arms=PAST, seasonalBaseline="1d"), ["BadDuration"]),
        (template(**ASKED, arms=PAST, seasonalBaseline="24"), ["BadDuration"]),
        (template(**ASKED, arms=PAST, seasonalBaseline="10m"), ["BadComparison"]),
        (template(**ASKED, arms=PAST, seasonalBaseline="24h", test="welch", looks=1), ["BadComparison"]),
        (template(**COUNTED, arms=PAST, seasonalBaseline="24h"), ["BadComparison"]),
        (template(**ASKED, arms=PAST, seasonalBaseline="24h", maxDuration="25h"), []),  # 2,880 looks: a whole day
        (
            template({"interval": "5s"}, **ASKED, arms=PAST, seasonalBaseline="24h", maxDuration="12h"),
            ["BadComparison"],
        ),
        (
            template(**ASKED, arms=PAST, seasonalBaseline="168h", until="terminated", maxDuration=None),
            ["BadComparison"],  # 20,160 looks
        ),
        (template(arms=PAST, seasonalBaseline="24h"), ["NoHistory"]),  # of a page that only tells the present
        (template(arms={"canary": {}}, gauge={"plugin": {"web": WEB}}, seasonalBaseline="24h"), ["NoHistory"]),
        # an argument may turn out to be anything
        (template(direction="{{args.d}}"), []),
        (template(score={"scoreThresholds": {"pass": 50, "marginal": 90}}), ["BadScore"]),
        (template(score={"scoreThresholds": {"pass": 90, "marginal": 50}}), []),
    ],
)
def test_problems(given: Template, codes: list[str]) -> None:
    assert sorted(p.code for p in problems(given)) == sorted(codes)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_examples_are_clean(path: Path) -> None:
    assert lint(path.read_text(), strict=True) == ()
