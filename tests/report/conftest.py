"""Runs to report on: comparisons weighed by the real statistics over seeded looks, and metrics with conditions."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from analysis_service.core.compare import foresight
from analysis_service.core.compare.spec import comparison_of, parse, plan_of
from analysis_service.core.compare.state import Setup, begin, step, stored
from analysis_service.core.compare.telling import after_look
from analysis_service.core.model import Cause, Look, Measurement, Metric, MetricResult, Phase, Run, RunSpec
from analysis_service.core.prepare import ready
from analysis_service.core.statistics.looks import ArmData, Counts, Gauge, Histogram
from analysis_service.core.statistics.looks import Look as Seen
from analysis_service.core.statistics.plan import Calibration

START = datetime(2026, 3, 4, 9, 15, tzinfo=UTC)
INTERVAL = timedelta(seconds=30)
EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0)
HOSTILE = '<script>alert("x")</script>&\u202e\x00"\'>]]>'
Pair = tuple[ArmData | None, ArmData | None]
Compared = Callable[..., tuple[Metric, MetricResult, list[Look]]]

QUERIES = {
    "counts": {
        "events": {"prometheus": {"query": 'sum by (pod) (http_requests_total{hash="{{arm.hash}}",code=~"5.."})'}},
        "totals": {"prometheus": {"query": 'sum by (pod) (http_requests_total{hash="{{arm.hash}}"})'}},
    },
    "histogram": {"prometheus": {"query": 'sum by (pod, le) (latency_bucket{hash="{{arm.hash}}"})'}},
    "gauge": {"prometheus": {"query": 'avg(cpu{hash="{{arm.hash}}"})'}},
}


def draw(shape: str, looks: int, effect: float, onset: int, seed: int) -> list[Pair]:
    """Both arms of each interval; the canary takes a tenth of the traffic and is `effect` times worse from `onset`."""
    rng = np.random.default_rng(seed)
    pairs: list[Pair] = []
    level = 0.0
    for i in range(looks):
        worse = effect if i >= onset else 1.0
        traffic = 3000 * (1 + 0.4 * math.sin(i / 19))
        if shape == "counts":
            n_c, n_s = rng.poisson(traffic * 0.1), rng.poisson(traffic * 0.9)
            x_c, x_s = rng.poisson(n_c * 0.012 * worse), rng.poisson(n_s * 0.012)
            pairs.append((Counts(float(x_c), float(n_c)), Counts(float(x_s), float(n_s))))
        elif shape == "histogram":
            arms = []
            for n, times in ((traffic * 0.1, worse), (traffic * 0.9, 1.0)):
                samples = rng.lognormal(3.4, 0.8, rng.poisson(n)) * times
                counts = np.histogram(samples, [0, *EDGES, math.inf])[0].astype(float)
                arms.append(Histogram(EDGES, tuple(counts.tolist())))
            pairs.append((arms[0], arms[1]))
        else:
            level = 0.9 * level + 0.02 * rng.normal()
            both = 0.4 * math.exp(level)
            pairs.append(
                (Gauge(both * worse * math.exp(0.05 * rng.normal())), Gauge(both * math.exp(0.05 * rng.normal())))
            )
    return pairs


def compare(
    name: str = "errors",
    shape: str = "counts",
    looks: int = 20,
    *,
    effect: float = 1.0,
    onset: int = 0,
    seed: int = 1,
    until: str = "verdict",
    margin: float = 0.5,
    spoil: bool = True,
    pairs: Sequence[Pair] | None = None,
    hours: str = "",
    share: float = 1.0,
    weights: Sequence[float | None] = (),
    running: bool = False,
    known: Calibration | None = None,
    more: Mapping[str, object] = MappingProxyType({}),
) -> tuple[Metric, MetricResult, list[Look]]:
    """A metric, its result and its looks, as the service would keep them. spoil: some looks are missed or empty."""
    longest = hours or f"{(looks + 1) * 30}s"
    last = None if running else looks
    comparison = {
        "arms": {"canary": {"hash": "c4n"}, "stable": {"hash": "5tb"}},
        shape: QUERIES[shape],
        "margin": {"relative": margin},
        "maxDuration": longest,
        "until": until,
        **more,
    }
    metric = Metric(name=name, interval="30s", provider={"compare": comparison})
    found = comparison_of(metric.provider)
    assert found is not None
    spec = parse(found, ready(metric).interval)
    setup = Setup(name, spec, plan_of(spec, share, known))
    state, kept = begin(setup), []
    ending = None
    outlook = foresight.foresee(setup, None)
    for i, (canary, stable) in enumerate(pairs if pairs is not None else draw(shape, looks, effect, onset, seed), 1):
        at = START + i * INTERVAL
        elapsed = i * INTERVAL.total_seconds()
        look = Seen(i, at, canary, stable, elapsed_seconds=elapsed)
        if spoil and i % 17 == 6:
            look = Seen(
                i, at, missed="Unreachable: prometheus.monitoring:9090 refused the connection", elapsed_seconds=elapsed
            )
        elif spoil and i % 23 == 11:
            look = Seen(i, at, None, stable, flags=("no-data",), elapsed_seconds=elapsed)
        if weights and not look.missed:
            look = replace(look, weight_percent=weights[min(i, len(weights)) - 1])
        state, told = step(setup, state, look)
        kept.append(stored(look, told))
        outlook = foresight.after(setup, (state,), outlook)
        if told is not None:
            ending = after_look(setup, metric, told, over=i == last)
            if ending.phase.done and until == "verdict":
                break
    phase = ending.phase if ending is not None else Phase.RUNNING
    done = phase.done
    metadata = {"compare.plan": msgspec.json.encode(setup.plan).decode()} if known is not None else {}
    if outlook is not None:
        metadata["forecast"] = foresight.told(setup, outlook)
        metadata["compare.forecast"] = msgspec.json.encode(outlook).decode()
    measurement = Measurement(
        phase,
        value=ending.value if ending is not None else "",
        started_at=START,
        finished_at=kept[-1].at if done else None,
        reason=ending.reason if ending is not None else "",
        metadata=metadata,
    )
    count = 1 if done else 0
    return (
        metric,
        MetricResult(
            name,
            phase,
            measurements=(measurement,),
            count=count,
            successful=int(phase is Phase.SUCCESSFUL),
            failed=int(phase is Phase.FAILED),
            taken=1,
            reason=measurement.reason,
        ),
        kept,
    )


def measured(
    name: str,
    values: Sequence[str],
    *,
    condition: str = "result < 0.05",
    limit: int = 1,
    phases: str = "",
    every: int = 60,
) -> tuple[Metric, MetricResult]:
    """A metric with a condition. phases: S, F, I or E per value; by comparison with 0.05 where not given."""
    words = {"S": Phase.SUCCESSFUL, "F": Phase.FAILED, "I": Phase.INCONCLUSIVE, "E": Phase.ERROR}
    taken = []
    for i, value in enumerate(values):
        phase = words[phases[i]] if phases else Phase.SUCCESSFUL if float(value) < 0.05 else Phase.FAILED
        at = START + timedelta(seconds=every * i)
        message = "the provider did not answer" if phase is Phase.ERROR else ""
        taken.append(
            Measurement(
                phase, i, value=value, started_at=at, finished_at=at, message=message, reason=f"{name}: {value}"
            )
        )
    failed = sum(m.phase is Phase.FAILED for m in taken)
    phase = Phase.FAILED if failed > limit else Phase.SUCCESSFUL
    metric = Metric(
        name=name,
        interval=f"{every}s",
        count=len(values),
        success_condition=condition,
        failure_limit=limit,
        provider={"prometheus": {"address": "http://prometheus:9090", "query": "sum(rate(errors[1m]))"}},
    )
    return metric, MetricResult(
        name,
        phase,
        measurements=tuple(taken),
        count=sum(m.phase is not Phase.ERROR for m in taken),
        successful=sum(m.phase is Phase.SUCCESSFUL for m in taken),
        failed=failed,
        inconclusive=sum(m.phase is Phase.INCONCLUSIVE for m in taken),
        error=sum(m.phase is Phase.ERROR for m in taken),
        taken=len(taken),
        reason=f"{name}: {failed} failures, failureLimit allows {limit}.",
        metadata={"ResolvedPrometheusQuery": "sum(rate(errors[1m]))"},
    )


def made_run(metrics: Sequence[Metric], results: Sequence[MetricResult], **fields: object) -> Run:
    phases = [result.phase for result in results if not result.dry_run]
    phase = next(
        (p for p in (Phase.FAILED, Phase.ERROR, Phase.INCONCLUSIVE, Phase.RUNNING) if p in phases), Phase.SUCCESSFUL
    )
    values: dict[str, object] = {
        "phase": phase,
        "reason": next((r.reason for r in results if r.phase is phase), ""),
        "cause": Cause.PASSED if phase is Phase.SUCCESSFUL else Cause.CONDITION_FAILED,
        "started_at": START,
        "completed_at": START + timedelta(minutes=12) if phase.done else None,
        **fields,
    }
    return Run(
        id="01J9Z3T7",
        namespace="shop",
        name="checkout",
        spec=RunSpec(metrics=tuple(metrics)),
        results=tuple(results),
        **values,  # type: ignore[arg-type]
    )


@pytest.fixture
def compared() -> Compared:
    return compare


@pytest.fixture
def conditions() -> Callable[..., tuple[Metric, MetricResult]]:
    return measured


@pytest.fixture
def new_run() -> Callable[..., Run]:
    return made_run
