"""Runs the vectors of kayenta.json. NaN is written as text there; tolerances are absolute, one or one per field.

Where a vector carries `derived` values these are asserted too: they come from an independent model of the same rule.
"""

import json
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from analysis_service.core.statistics import kayenta_classify as classifier
from analysis_service.core.statistics import kayenta_prepare as prepare
from analysis_service.core.statistics.kayenta_config import (
    CanaryOptions,
    Direction,
    EffectSize,
    Measure,
    NanStrategy,
    lookup,
    lookup_number,
)
from analysis_service.core.statistics.kayenta_interval import shift_interval, shifted_z
from analysis_service.core.statistics.kayenta_pairs import PairingError, Series, pair_all, pair_one
from analysis_service.core.statistics.kayenta_query import QueryError, custom_filter, prometheus_query
from analysis_service.core.statistics.kayenta_score import Scored, Thresholds, score_class, score_results
from analysis_service.core.statistics.kayenta_windows import ends_run, in_order, lifetime, outcome, window

EXACT = 1e-9  # where the vector names no tolerance
NOW = datetime(2018, 1, 1, tzinfo=UTC)


def run(vector: dict[str, Any]) -> None:
    """Assert one vector, whole."""
    RUN[vector["kind"]](vector)


def numbers(values: list[Any]) -> list[float]:
    return [float(value) for value in values]  # float("NaN") is what the text means


def close(found: object, wanted: object, tolerance: float, what: str = "") -> None:
    if isinstance(wanted, bool | None) or (isinstance(wanted, str) and wanted != "NaN"):
        assert found == wanted, f"{what}: {found!r}, expected {wanted!r}"
        return
    got, want = float(str(found)), float(str(wanted))
    if math.isnan(want):
        assert math.isnan(got), f"{what}: {got!r}, expected NaN"
    else:
        assert abs(got - want) <= tolerance, f"{what}: {got!r}, expected {want!r} within {tolerance}"


def compare(found: Mapping[str, object], vector: dict[str, Any]) -> None:
    """Every expected field by the vector's tolerance, every derived one tightly."""
    limits = vector.get("tolerance", EXACT)
    for field, wanted in vector["expect"].items():
        close(found[field], wanted, limits[field] if isinstance(limits, dict) else limits, field)
    derived = dict(vector.get("derived", {}))
    jittered = derived.pop("note", None) is not None  # Kayenta's random noise of 1e-5 is in these figures
    for field, wanted in derived.items():
        close(found[field], wanted, 1e-3 if jittered else EXACT, f"derived {field}")


def source(vector: dict[str, Any]) -> dict[str, Any]:
    """The vector's input; `same_data_as` points to another vector's series."""
    given: dict[str, Any] = vector["input"]
    if "same_data_as" not in given:
        return given
    folder = Path(os.environ.get("TIDEGATE_VECTORS") or Path(__file__).parent.parent)
    held = json.loads((folder / "kayenta.json").read_text())["vectors"]
    same: dict[str, Any] = next(v["input"] for v in held if v["id"] == given["same_data_as"])
    return same | given


def wilcoxon_z(vector: dict[str, Any]) -> None:
    given = vector["input"]
    z = shifted_z(numbers(given["experiment"]), numbers(given["control"]), given["mu"]) - given["quantile"]
    compare({"z": z}, vector)


def normal_quantile(vector: dict[str, Any]) -> None:
    from statistics import NormalDist

    compare({"q": NormalDist().inv_cdf(vector["input"]["p"])}, vector)


def mw_ci(vector: dict[str, Any]) -> None:
    given = vector["input"]
    found = shift_interval(numbers(given["experiment"]), numbers(given["control"]), confidence=given["confLevel"])
    compare({"lower": found.lower, "upper": found.upper, "estimate": found.estimate}, vector)


def mw_intermediate(vector: dict[str, Any]) -> None:
    from statistics import NormalDist

    given = source(vector)
    x, y, level = numbers(given["experiment"]), numbers(given["control"]), given["confLevel"]
    q, top = NormalDist().inv_cdf((1 + level) / 2), max(x) - min(y)
    found = shift_interval(x, y, confidence=level)
    at_top = shifted_z(x, y, top)
    compare(
        {
            "muMin": min(x) - max(y),
            "muMax": top,
            "zqLower": q,
            "zqUpper": -q,
            "z_muMax_minus_zqLower": at_top - q,
            "z_muMax_minus_zqUpper": at_top + q,
            "ciLower": found.lower,
            "ciUpper": found.upper,
            "estimate": found.estimate,
        },
        vector,
    )


def options(given: dict[str, Any]) -> CanaryOptions:
    effect, critical = given.get("effectSize", {}), given.get("criticalThresholds", {})
    decrease, increase = given.get("eff", (effect.get("decrease", 1.0), effect.get("increase", 1.0)))
    down, up = given.get("crit", (critical.get("decrease", 1.0), critical.get("increase", 1.0)))
    return CanaryOptions(
        direction=Direction(given.get("direction", "either")),
        nan_strategy=NanStrategy(given.get("nanStrategy", given.get("nan", "remove"))),
        critical=given.get("critical", False),
        must_have_data=given.get("mustHaveData", False),
        effect=EffectSize(Measure(effect.get("measure", "meanRatio")), increase, decrease, up, down),
    )


def classify_mann_whitney(vector: dict[str, Any]) -> None:
    given = vector["input"]
    x, y = numbers(given["experiment"]), numbers(given["control"])
    found = classifier.classify(
        x,
        y,
        options=options(given),
        confidence=given.get("confLevel", classifier.CONFIDENCE),
        tolerance=given.get("tolerance", classifier.TOLERANCE),
    )
    shift = found.shift
    compare(
        {
            "classification": found.label.value,
            "deviation": found.ratio,
            "critical": found.critical,
            "ciLower": shift and shift.lower,
            "ciUpper": shift and shift.upper,
            "estimate": shift and shift.estimate,
            "bound": found.bound,
            "reason_present": bool(found.reason),
            "cles": classifier.cles(x, y) if x and y else None,
            "meanRatio": classifier.mean_ratio(x, y) if x and y else None,
        },
        vector,
    )


def classify_mean_inequality(vector: dict[str, Any]) -> None:
    given = vector["input"]
    label = classifier.classify_by_mean(
        numbers(given["experiment"]), numbers(given["control"]), direction=Direction(given["direction"])
    )
    compare({"classification": label.value}, vector)


def summary(vector: dict[str, Any]) -> None:
    found = prepare.summarise(numbers(vector["input"]["values"]))
    compare({field: getattr(found, field) for field in ("min", "max", "mean", "std", "count")}, vector)


def percentile(vector: dict[str, Any]) -> None:
    compare({"value": prepare.percentile(numbers(vector["input"]["values"]), vector["input"]["p"])}, vector)


def of_two(measure: Any) -> Any:
    def runner(vector: dict[str, Any]) -> None:
        given = vector["input"]
        compare({"value": measure(numbers(given["experiment"]), numbers(given["control"]))}, vector)

    return runner


def flags(given: dict[str, Any]) -> list[bool]:
    values, factor = numbers(given["values"]), given["factor"]
    if given["detector"] == "ksigma":
        return list(prepare.sigma_outliers(values, factor=factor))
    return list(prepare.quartile_outliers(values, factor=factor, less_sensitive=given["reduceSensitivity"]))


def outlier_flags(vector: dict[str, Any]) -> None:
    assert flags(vector["input"]) == vector["expect"]["flags"]


def outlier_removal(vector: dict[str, Any]) -> None:
    given = vector["input"]
    kept = [v for v, out in zip(numbers(given["values"]), flags(given), strict=True) if not out]
    if given["detector"] == "iqr":
        assert kept == list(
            prepare.remove_outliers(
                numbers(given["values"]), factor=given["factor"], less_sensitive=given["reduceSensitivity"]
            )
        )
    assert kept == vector["expect"]["values"]


def nan_remove(vector: dict[str, Any]) -> None:
    assert list(prepare.remove_nan(numbers(vector["input"]["values"]))) == vector["expect"]["values"]


def nan_replace(vector: dict[str, Any]) -> None:
    assert list(prepare.replace_nan(numbers(vector["input"]["values"]))) == vector["expect"]["values"]


def gaussian_noise(vector: dict[str, Any]) -> None:
    given = vector["input"]
    values = prepare.normal_scores(len(given["values"]), mean=given["mean"], std=given["stdev"])
    found = prepare.summarise(values)
    compare({"length": len(values), "mean": found.mean, "stdev": found.std}, vector)


def scored(given: dict[str, Any]) -> list[Scored]:
    return [
        Scored(
            classifier.Label(r["classification"]),
            tuple(r.get("groups", ["all"])),  # where a vector names no groups its metrics stand in one
            r.get("critical", False),
            reason=r.get("name", ""),
            muted=r.get("muted", False),
        )
        for r in given["results"]
    ]


def score(vector: dict[str, Any]) -> None:
    found = score_results(scored(vector["input"]), group_weights=vector["input"]["groupWeights"])
    for wanted in (vector["expect"], vector.get("derived", {})):
        for field, value in wanted.items():
            match field:
                case "summaryScore":
                    close(found.score, value, EXACT, field)
                case "forcedZeroBy":
                    assert (found.forced_by or None) == value
                case "groupScoresSorted":
                    assert sorted(g.score for g in found.groups) == value
                case "groups":
                    seen = {g.name: {"score": pytest.approx(g.score), "noData": g.no_data} for g in found.groups}
                    assert value == seen
                case _:
                    raise AssertionError(f"unknown field {field}")


def score_classification(vector: dict[str, Any]) -> None:
    given, wanted = vector["input"], vector["expect"]
    value, limits = given["score"], Thresholds(given["pass"], given["marginal"])
    assert score_class(value, limits).value == wanted["classification"]
    stops = ends_run(value, marginal=limits.marginal)
    passes = outcome([value], pass_=limits.pass_, marginal=limits.marginal).passed
    assert wanted["standalone"] == ("stops" if stops else "passes" if passes else "goes on unless last")


def option_lookup(vector: dict[str, Any]) -> None:
    assert lookup(vector["input"]["map"], *vector["input"]["path"]) == vector["expect"]["value"]


def option_lookup_double(vector: dict[str, Any]) -> None:
    given = vector["input"]
    found = lookup_number(given["map"], *given["path"], default=given["default"])
    assert isinstance(found, float)
    assert found == vector["expect"]["value"]


def aggregate_judgement(vector: dict[str, Any]) -> None:
    given = vector["input"]
    # an earlier look's score has no say
    found = outcome([0, given["finalScore"]], pass_=given["pass"], marginal=given["marginal"])
    compare({"didPassThresholds": found.passed}, vector)


def stage_order(vector: dict[str, Any]) -> None:
    assert list(in_order(vector["input"]["stageNames"])) == vector["expect"]["order"]


def minute(value: float | None) -> datetime | None:
    return None if value is None else NOW + timedelta(minutes=value)


def span(value: float | None) -> timedelta | None:
    return None if value is None else timedelta(minutes=value)


def lifetime_runner(vector: dict[str, Any]) -> None:
    given = vector["input"]
    found = lifetime(
        start=minute(given["startMin"]), end=minute(given["endMin"]), duration=span(given["lifetimeDurationMins"])
    )
    assert found == span(vector["expect"]["lifetimeMins"])


def judgement_window(vector: dict[str, Any]) -> None:
    given = vector["input"]
    iso = given.get("startTimeIso")
    found = window(
        given["judgement"],
        now=NOW + timedelta(minutes=given.get("nowMin", 0)),
        start=datetime.fromisoformat(iso) if iso else minute(given.get("startMin")),
        end=minute(given.get("endMin")),
        interval=timedelta(minutes=given["intervalMins"]),
        begin_after=timedelta(minutes=given.get("beginAfterMins", 0)),
        lookback=timedelta(minutes=given.get("lookbackMins", 0)),
        control_offset=timedelta(minutes=given.get("controlOffsetInMinutes", 0)),
    )
    for field, wanted in vector["expect"].items():
        part = {
            "startMin": found.start,
            "endMin": found.end,
            "startTimeIso": found.start,
            "endTimeIso": found.end,
            "experimentStartIso": found.start,
            "controlStartIso": found.control_start,
        }[field]
        assert part == (datetime.fromisoformat(wanted) if isinstance(wanted, str) else minute(wanted)), field


def series(given: dict[str, Any] | None) -> Series | None:
    if given is None:
        return None
    return Series(given["name"], tuple(numbers(given.get("values", []))), given.get("tags", {}))


def pair_series(vector: dict[str, Any]) -> None:
    given = vector["input"]
    sides = [[s for g in given[side] if (s := series(g))] for side in ("control", "experiment")]
    found = pair_all(given["metrics"], *sides)
    assert [
        {"name": p.name, "tags": p.tags, "control": list(p.control), "experiment": list(p.experiment)} for p in found
    ] == vector["expect"]["pairs"]


def pair_series_error(vector: dict[str, Any]) -> None:
    given = vector["input"]
    try:
        pair_one(series(given["control"]), series(given["experiment"]))
    except PairingError as error:
        assert vector["expect"]["error"] in str(error)  # noqa: PT017 - AssertionError is this module's contract
    else:
        raise AssertionError(f"paired, expected: {vector['expect']['error']}")


def series_key(vector: dict[str, Any]) -> None:
    found = series(vector["input"])
    assert found is not None
    assert found.key == vector["expect"]["key"]


def template(vector: dict[str, Any]) -> None:
    given = vector["input"]
    query = {"customInlineTemplate": given.get("inline"), "customFilterTemplate": given.get("named")}
    try:
        found = custom_filter(query, given.get("templates", {}), given.get("extendedScopeParams", {}))
    except QueryError as error:
        assert vector["expect"]["error"] in str(error)  # noqa: PT017 - AssertionError is this module's contract
    else:
        assert "error" not in vector["expect"]
        assert found == vector["expect"]["value"]


def prometheus(vector: dict[str, Any]) -> None:
    given = vector["input"]
    bindings = {key: given[key] for key in ("scope", "location", "resourceType")} | (given["extendedScopeParams"] or {})
    assert prometheus_query(given, given["templates"], bindings) == vector["expect"]["query"]


def end_to_end(vector: dict[str, Any]) -> None:
    given = vector["input"]
    limits = given.get("thresholds", {"pass": 75, "marginal": 50})  # those of the other vectors of this kind
    if "results" in given:
        final = score_results(scored(given), group_weights={}).score
    elif "criticalMetric" in given:
        label = classifier.Label(given["criticalMetric"])
        final = score_results([Scored(label, ("all",), critical=True)], group_weights={}).score
        assert final == given["finalScore"]
    else:
        final = given["finalScore"]
    found = outcome([final], pass_=limits["pass"], marginal=limits["marginal"])
    seen = {
        "executionStatus": found.status,
        "didPassThresholds": found.passed,
        "canaryScoreMessage": found.message,
        "hasWarnings": False,  # the vector holds no series, so nothing can be said of their length
    }
    compare(seen, vector)


RUN = {
    "wilcoxon_z": wilcoxon_z,
    "normal_quantile": normal_quantile,
    "mw_ci": mw_ci,
    "mw_intermediate": mw_intermediate,
    "classify_mann_whitney": classify_mann_whitney,
    "classify_mean_inequality": classify_mean_inequality,
    "summary": summary,
    "percentile_R7": percentile,
    "mean_ratio": of_two(classifier.mean_ratio),
    "cohen_d": of_two(classifier.cohen_d),
    "cles": of_two(classifier.cles),
    "outlier_flags": outlier_flags,
    "outlier_removal": outlier_removal,
    "nan_remove": nan_remove,
    "nan_replace": nan_replace,
    "gaussian_noise": gaussian_noise,
    "score": score,
    "score_classification": score_classification,
    "option_lookup": option_lookup,
    "option_lookup_double": option_lookup_double,
    "aggregate_judgement": aggregate_judgement,
    "stage_order": stage_order,
    "lifetime": lifetime_runner,
    "judgement_window": judgement_window,
    "pair_series": pair_series,
    "pair_series_error": pair_series_error,
    "series_key": series_key,
    "template": template,
    "prometheus_query": prometheus,
    "end_to_end": end_to_end,
}
FILES = {"kayenta": run}
