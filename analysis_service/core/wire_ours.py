"""What may stand under our own providers: `scrape`, which reads pages of metrics, and `compare`."""

from analysis_service.core.wire_http import AUTHENTICATION, HEADERS
from analysis_service.core.wire_types import (
    Anything,
    Boolean,
    Field,
    Integer,
    ListOf,
    MapOf,
    Number,
    Object,
    ProviderUnion,
    Text,
    ours,
)

_TEXT = Text()
_DURATION = Text(duration=True)
_NUMBER = Number(text=True)
_PROVIDER = ProviderUnion()

SCRAPE = Object(
    "Scrape",
    {
        "targets": ours(
            ListOf(_TEXT),
            "http:// or https:// addresses of OpenMetrics or Prometheus text pages, usually one per process",
            required=True,
        ),
        "query": ours(_TEXT, 'which series, such as http_requests_total{code=~"5.."}', required=True),
        "aggregate": ours(
            Text(enum=("list", "sum"), tags=True),
            "list: one value per series; sum: one number, the sum over all series of all targets",
            default="list",
        ),
        "as": ours(
            Text(enum=("value", "delta", "rate"), tags=True),
            "value: as read; delta: growth since the last measurement, per process, resets allowed for; "
            "rate: delta per second",
            default="delta for counters and histograms, value for gauges",
        ),
        "timeoutSeconds": Field(Integer(), "seconds for all targets together", default="10", ours=True),
        "headers": Field(HEADERS, "headers to send", ours=True),
        "insecure": ours(Boolean(), "do not verify the server's certificate", default="false"),
        "authentication": ours(AUTHENTICATION, "how to log in"),
    },
)

COMPARE_TESTS = (
    "sequential-rate-ratio",
    "sequential-odds-ratio",
    "sequential-histogram",
    "sequential-t",
    "sequential-quantile",
    "sequential-ks",
    "sequential-mean",
    "sprt",
    "group-sequential",
    "objective",
    "sample-ratio",
    "mann-whitney",
    "brunner-munzel",
    "welch",
    "ks",
    "fisher-exact",
    "poisson-e",
    "tost",
    "kayenta",
)

_ARM = MapOf(_TEXT)

COMPARE = Object(
    "Compare",
    {
        "arms": ours(
            Object(
                "Arms",
                {
                    "canary": ours(_ARM, "the new version's values for {{arm.x}}", required=True),
                    "stable": ours(_ARM, "the old version's; leave out for an objective, or a seasonalBaseline"),
                    "history": ours(
                        _ARM,
                        "with seasonalBaseline: the values for {{arm.x}} in the past, such as a pattern that fits "
                        "every version; needed where the query uses {{arm.x}}",
                    ),
                },
            ),
            "what differs between the versions: each arm's values for {{arm.x}}",
            required=True,
        ),
        "counts": ours(
            Object(
                "Counts",
                {
                    "events": ours(
                        _PROVIDER, "the events that are bad (or good): a counter per process", required=True
                    ),
                    "totals": ours(_PROVIDER, "all events: a counter per process", required=True),
                },
            ),
            "compare shares of counted events",
        ),
        "histogram": ours(_PROVIDER, "compare distributions: buckets, cumulative, per process"),
        "gauge": ours(_PROVIDER, "compare levels: one value per process"),
        "margin": ours(
            Object(
                "Margin",
                {
                    "relative": ours(_NUMBER, "share of the stable value; 0.5: at most 1.5 times stable"),
                    "absolute": ours(_NUMBER, "in the metric's own unit"),
                },
                one_of=("relative", "absolute"),
            ),
            "how much worse is still acceptable",
        ),
        "maxDuration": ours(_DURATION, "undecided then: Inconclusive; may be left out with until: terminated"),
        "until": ours(
            Text(enum=("verdict", "terminated"), tags=True),
            "verdict: the first verdict ends the metric; terminated (for background analysis): only harm ends it, and "
            "it is Successful when the run is terminated without harm shown",
            default="verdict",
        ),
        "test": ours(Text(enum=COMPARE_TESTS, tags=True), "statistical test", default="by the shape of the data"),
        "direction": ours(
            Text(enum=("increase", "decrease", "either"), tags=True), "which change is bad", default="increase"
        ),
        "alpha": ours(_NUMBER, "chance of failing a harmless version, looks included", default="0.05"),
        "beta": ours(_NUMBER, "chance of passing a version at the margin", default="0.05"),
        "failAt": ours(
            Text(enum=("noharm", "margin"), tags=True),
            "noharm: fail once worse than stable; margin: fail once worse than the margin",
            default="noharm for counts, margin otherwise",
        ),
        "absoluteFloor": ours(_NUMBER, "a rate below this never fails"),
        "objective": ours(_NUMBER, "service level the canary alone is held to: the largest acceptable share"),
        "minSamples": ours(_NUMBER, "per arm, before any verdict", default="0"),
        "minBake": ours(_NUMBER, "share of maxDuration before which nothing passes", default="0.25"),
        "warmUp": ours(_DURATION, "ignore a process this long after its start", default="0s"),
        "lookback": ours(_DURATION, "history that calibrates the noise", default="6h"),
        "seasonalBaseline": ours(
            _DURATION,
            "instead of arms.stable, for a gauge where no stable version runs beside the canary: the period of its "
            "seasons, 24h or 168h. Each value is compared with the median of what was seen at the same phase of the "
            "seven periods before, read from the provider's history; with less than seven it is Inconclusive",
            default="off",
        ),
        "looks": ours(
            _NUMBER,
            "planned number of judgements (group-sequential; tests of fixed size, with a spending rule)",
            default="20 for group-sequential, 1 for tests of fixed size",
        ),
        "spending": ours(
            Text(enum=("obrien-fleming", "pocock"), tags=True), "alpha spending function", default="obrien-fleming"
        ),
        "weightOf": ours(_NUMBER, "share of alpha among the run's comparisons", default="1"),
        "critical": ours(Boolean(), "critical metrics share 80% of alpha", default="false"),
        "missing": ours(
            Text(enum=("skip", "zero", "inconclusive"), tags=True),
            "what an interval without data means: skip: nothing; zero: a gauge of 0; inconclusive: the end",
            default="skip",
        ),
        "cumulative": ours(
            Boolean(),
            "true: counts and buckets are counters, differenced between looks, per process (told apart by their labels "
            "pod, instance or host); false: they are the growth of one interval already",
            default="true for scrape and for prometheus without rate() or increase(), false otherwise",
        ),
        "canaryWeight": ours(
            _NUMBER, "percent of the traffic that the canary should get; a sentence tells where routing differs"
        ),
        "canaryWeightFrom": ours(
            _PROVIDER, "asked at every look for that percentage, where it changes during the run: one number, 0 to 100"
        ),
        "groups": ours(ListOf(_TEXT), "score groups (kayenta)"),
        "kayenta": ours(Anything(mapping=True), "analysisConfigurations.canary of a Kayenta config"),
    },
    one_of=("counts", "histogram", "gauge"),
)
