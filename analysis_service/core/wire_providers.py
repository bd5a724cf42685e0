"""What may stand under `provider.<name>`: Argo's providers, and our `scrape` and `compare`.

Argo's CRD drops keys it does not know, so in a cluster every provider may also be written as
`provider.plugin.<name>`; the same table reads both.
"""

from collections.abc import Mapping

from analysis_service.core.wire_types import (
    Anything,
    Boolean,
    Field,
    Integer,
    IntOrString,
    ListOf,
    MapOf,
    Number,
    Object,
    ProviderUnion,
    Text,
)

_TEXT = Text()
_DURATION = Text(duration=True)
_OUR_NUMBER = Number(text=True)
_PROVIDER = ProviderUnion()


def _ours(kind: Text | Number | Boolean | ListOf | MapOf | Object | ProviderUnion | Anything, doc: str,
          default: str = "", required: bool = False) -> Field:  # fmt: skip
    return Field(kind, doc, required=required, default=default, ours=True)


AUTHENTICATION = Object(
    "Authentication",
    {
        "sigv4": Field(
            Object(
                "Sigv4",
                {
                    "region": Field(_TEXT, "AWS region"),
                    "profile": Field(_TEXT, "AWS profile"),
                    "roleArn": Field(_TEXT, "role to assume"),
                },
            ),
            "sign requests for Amazon Managed Prometheus",
        ),
        "oauth2": Field(
            Object(
                "OAuth2",
                {
                    "tokenUrl": Field(_TEXT, "where client credentials are exchanged for a token"),
                    "clientId": Field(_TEXT, "client id"),
                    "clientSecret": Field(_TEXT, "client secret; use an argument that is a secret"),
                    "scopes": Field(ListOf(_TEXT), "scopes to ask for"),
                },
            ),
            "OAuth 2 client credentials",
        ),
        "basicAuth": Field(
            Object(
                "BasicAuth",
                {
                    "username": Field(_TEXT, "user name"),
                    "password": Field(_TEXT, "password; use an argument that is a secret"),
                },
            ),
            "user name and password; both are needed",
        ),
        "bearerToken": _ours(_TEXT, "token sent as `Authorization: Bearer`; use an argument that is a secret"),
    },
)

HEADERS = ListOf(
    Object(
        "Header",
        {"key": Field(_TEXT, "header name", required=True), "value": Field(_TEXT, "header value", required=True)},
    )
)

PROMETHEUS = Object(
    "Prometheus",
    {
        "address": Field(_TEXT, "http:// or https:// address of the server"),
        "query": Field(_TEXT, "PromQL"),
        "authentication": Field(AUTHENTICATION, "how to log in"),
        "timeout": Field(Integer(), "seconds for the whole answer", default="30"),
        "insecure": Field(Boolean(), "do not verify the server's certificate", default="false"),
        "headers": Field(HEADERS, "headers to send"),
        "rangeQuery": Field(
            Object(
                "RangeQuery",
                {
                    "start": Field(_TEXT, 'expression giving a time, such as now() - duration("1h")'),
                    "end": Field(_TEXT, "expression giving a time, such as now()"),
                    "step": Field(_DURATION, "resolution"),
                },
            ),
            "ask for a range instead of an instant",
        ),
    },
)

DATADOG = Object(
    "Datadog",
    {
        "interval": Field(_DURATION, "how far back the query looks", default="5m"),
        "query": Field(_TEXT, "the query; use this or `queries`"),
        "queries": Field(MapOf(_TEXT), "named queries for `formula` (apiVersion v2)"),
        "formula": Field(_TEXT, "formula over `queries` (apiVersion v2)"),
        "apiVersion": Field(Text(enum=("v1", "v2")), "API to use", default="v1"),
        "aggregator": Field(
            Text(enum=("avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area")),
            "how a series becomes one number (apiVersion v2)",
            default="last",
        ),
        "secretRef": Field(
            Object(
                "DatadogSecret",
                {
                    "name": Field(_TEXT, "secret holding api-key, app-key and address"),
                    "namespaced": Field(Boolean(), "the secret is in the run's namespace", default="false"),
                },
            ),
            "credentials",
        ),
        "requestTimeout": Field(_DURATION, "time for the whole answer", default="10s"),
    },
)

NEW_RELIC = Object(
    "NewRelic",
    {
        "profile": Field(_TEXT, "secret holding the account", default="newrelic"),
        "query": Field(_TEXT, "NRQL", required=True),
        "timeout": Field(Integer(), "seconds for the whole answer", default="5"),
    },
)

WEB = Object(
    "Web",
    {
        "method": Field(Text(enum=("GET", "POST", "PUT")), "HTTP method", default="GET"),
        "url": Field(_TEXT, "http:// or https:// address", required=True),
        "headers": Field(HEADERS, "headers to send"),
        "body": Field(_TEXT, "text to send (POST, PUT)"),
        "jsonBody": Field(Anything(), "JSON to send (POST, PUT)"),
        "timeoutSeconds": Field(Integer(), "seconds for the whole answer", default="10"),
        "jsonPath": Field(_TEXT, "where the value is in the answer", default="{$}"),
        "insecure": Field(Boolean(), "do not verify the server's certificate", default="false"),
        "authentication": Field(AUTHENTICATION, "how to log in"),
    },
)

CLOUD_WATCH = Object(
    "CloudWatch",
    {
        "interval": Field(_DURATION, "how far back the queries look", default="5m"),
        "metricDataQueries": Field(
            ListOf(
                Object(
                    "MetricDataQuery",
                    {
                        "id": Field(_TEXT, "name of the query"),
                        "expression": Field(_TEXT, "metric math"),
                        "label": Field(_TEXT, "label"),
                        "metricStat": Field(
                            Object(
                                "MetricStat",
                                {
                                    "metric": Field(
                                        Object(
                                            "CloudWatchMetric",
                                            {
                                                "namespace": Field(_TEXT, "namespace"),
                                                "metricName": Field(_TEXT, "metric"),
                                                "dimensions": Field(
                                                    ListOf(
                                                        Object(
                                                            "Dimension",
                                                            {
                                                                "name": Field(_TEXT, "dimension"),
                                                                "value": Field(_TEXT, "its value"),
                                                            },
                                                        )
                                                    ),
                                                    "dimensions",
                                                ),
                                            },
                                        ),
                                        "the metric",
                                    ),
                                    "period": Field(IntOrString(), "seconds"),
                                    "stat": Field(_TEXT, "statistic, such as p99"),
                                    "unit": Field(_TEXT, "unit"),
                                },
                            ),
                            "a metric and its statistic",
                        ),
                        "period": Field(IntOrString(), "seconds"),
                        "returnData": Field(Boolean(), "whether the answer holds this query"),
                    },
                )
            ),
            "the queries",
            required=True,
        ),
    },
)

_SCOPE_DETAIL = Object(
    "ScopeDetail",
    {
        "scope": Field(_TEXT, "what to select", required=True),
        "region": Field(_TEXT, "where the metrics are, as their store names it, such as us-west-2", required=True),
        "step": Field(Integer(), "seconds between points", required=True),
        "start": Field(_TEXT, "RFC 3339 time"),
        "end": Field(_TEXT, "RFC 3339 time"),
    },
)

KAYENTA = Object(
    "Kayenta",
    {
        "address": Field(_TEXT, "address of the service", required=True),
        "application": Field(_TEXT, "application", required=True),
        "canaryConfigName": Field(_TEXT, "stored canary config", required=True),
        "metricsAccountName": Field(_TEXT, "metrics account", required=True),
        "configurationAccountName": Field(_TEXT, "configuration account", required=True),
        "storageAccountName": Field(_TEXT, "storage account", required=True),
        "threshold": Field(
            Object(
                "KayentaThreshold",
                {
                    "pass": Field(Integer(), "score that passes", required=True),
                    "marginal": Field(Integer(), "score that is inconclusive", required=True),
                },
            ),
            "score thresholds",
            required=True,
        ),
        "scopes": Field(
            ListOf(
                Object(
                    "KayentaScope",
                    {
                        "name": Field(_TEXT, "scope name", required=True),
                        "controlScope": Field(_SCOPE_DETAIL, "stable version", required=True),
                        "experimentScope": Field(_SCOPE_DETAIL, "canary version", required=True),
                    },
                )
            ),
            "what is compared",
            required=True,
        ),
        "lookback": Field(Boolean(), "start at the run's start", default="false"),
    },
)

JOB = Object(
    "Job",
    {
        "metadata": Field(Anything(mapping=True), "labels and annotations of the Job"),
        "spec": Field(Anything(mapping=True), "batch/v1 JobSpec", required=True),
    },
)


def _address_and_query(name: str, extra: Mapping[str, Field]) -> Object:
    return Object(name, {"address": Field(_TEXT, "address"), "query": Field(_TEXT, "query"), **extra})


SCRAPE = Object(
    "Scrape",
    {
        "targets": _ours(
            ListOf(_TEXT),
            "http:// or https:// addresses of OpenMetrics or Prometheus text pages, usually one per process",
            required=True,
        ),
        "query": _ours(_TEXT, 'which series, such as http_requests_total{code=~"5.."}', required=True),
        "aggregate": _ours(
            Text(enum=("list", "sum"), tags=True),
            "list: one value per series; sum: one number, the sum over all series of all targets",
            default="list",
        ),
        "as": _ours(
            Text(enum=("value", "delta", "rate"), tags=True),
            "value: as read; delta: growth since the last measurement, per process, resets allowed for; "
            "rate: delta per second",
            default="delta for counters and histograms, value for gauges",
        ),
        "timeoutSeconds": Field(Integer(), "seconds for all targets together", default="10", ours=True),
        "headers": Field(HEADERS, "headers to send", ours=True),
        "insecure": _ours(Boolean(), "do not verify the server's certificate", default="false"),
        "authentication": _ours(AUTHENTICATION, "how to log in"),
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
        "arms": _ours(
            Object(
                "Arms",
                {
                    "canary": _ours(_ARM, "the new version's values for {{arm.x}}", required=True),
                    "stable": _ours(_ARM, "the old version's; leave out for an objective, or a seasonalBaseline"),
                    "history": _ours(
                        _ARM,
                        "with seasonalBaseline: the values for {{arm.x}} in the past, such as a pattern that fits "
                        "every version; needed where the query uses {{arm.x}}",
                    ),
                },
            ),
            "what differs between the versions: each arm's values for {{arm.x}}",
            required=True,
        ),
        "counts": _ours(
            Object(
                "Counts",
                {
                    "events": _ours(
                        _PROVIDER, "the events that are bad (or good): a counter per process", required=True
                    ),
                    "totals": _ours(_PROVIDER, "all events: a counter per process", required=True),
                },
            ),
            "compare shares of counted events",
        ),
        "histogram": _ours(_PROVIDER, "compare distributions: buckets, cumulative, per process"),
        "gauge": _ours(_PROVIDER, "compare levels: one value per process"),
        "margin": _ours(
            Object(
                "Margin",
                {
                    "relative": _ours(_OUR_NUMBER, "share of the stable value; 0.5: at most 1.5 times stable"),
                    "absolute": _ours(_OUR_NUMBER, "in the metric's own unit"),
                },
                one_of=("relative", "absolute"),
            ),
            "how much worse is still acceptable",
        ),
        "maxDuration": _ours(_DURATION, "undecided then: Inconclusive; may be left out with until: terminated"),
        "until": _ours(
            Text(enum=("verdict", "terminated"), tags=True),
            "verdict: the first verdict ends the metric; terminated (for background analysis): only harm ends it, and "
            "it is Successful when the run is terminated without harm shown",
            default="verdict",
        ),
        "test": _ours(Text(enum=COMPARE_TESTS, tags=True), "statistical test", default="by the shape of the data"),
        "direction": _ours(
            Text(enum=("increase", "decrease", "either"), tags=True), "which change is bad", default="increase"
        ),
        "alpha": _ours(_OUR_NUMBER, "chance of failing a harmless version, looks included", default="0.05"),
        "beta": _ours(_OUR_NUMBER, "chance of passing a version at the margin", default="0.05"),
        "failAt": _ours(
            Text(enum=("noharm", "margin"), tags=True),
            "noharm: fail once worse than stable; margin: fail once worse than the margin",
            default="noharm for counts, margin otherwise",
        ),
        "absoluteFloor": _ours(_OUR_NUMBER, "a rate below this never fails"),
        "objective": _ours(_OUR_NUMBER, "service level the canary alone is held to: the largest acceptable share"),
        "minSamples": _ours(_OUR_NUMBER, "per arm, before any verdict", default="0"),
        "minBake": _ours(_OUR_NUMBER, "share of maxDuration before which nothing passes", default="0.25"),
        "warmUp": _ours(_DURATION, "ignore a process this long after its start", default="0s"),
        "lookback": _ours(_DURATION, "history that calibrates the noise", default="6h"),
        "seasonalBaseline": _ours(
            _DURATION,
            "instead of arms.stable, for a gauge where no stable version runs beside the canary: the period of its "
            "seasons, 24h or 168h. Each value is compared with the median of what was seen at the same phase of the "
            "seven periods before, read from the provider's history; with less than seven it is Inconclusive",
            default="off",
        ),
        "looks": _ours(
            _OUR_NUMBER,
            "planned number of judgements (group-sequential; tests of fixed size, with a spending rule)",
            default="20 for group-sequential, 1 for tests of fixed size",
        ),
        "spending": _ours(
            Text(enum=("obrien-fleming", "pocock"), tags=True), "alpha spending function", default="obrien-fleming"
        ),
        "weightOf": _ours(_OUR_NUMBER, "share of alpha among the run's comparisons", default="1"),
        "critical": _ours(Boolean(), "critical metrics share 80% of alpha", default="false"),
        "missing": _ours(
            Text(enum=("skip", "zero", "inconclusive"), tags=True),
            "what an interval without data means: skip: nothing; zero: a gauge of 0; inconclusive: the end",
            default="skip",
        ),
        "cumulative": _ours(
            Boolean(),
            "true: counts and buckets are counters, differenced between looks, per process (told apart by their labels "
            "pod, instance or host); false: they are the growth of one interval already",
            default="true for scrape and for prometheus without rate() or increase(), false otherwise",
        ),
        "canaryWeight": _ours(
            _OUR_NUMBER, "percent of the traffic that the canary should get; a sentence tells where routing differs"
        ),
        "canaryWeightFrom": _ours(
            _PROVIDER, "asked at every look for that percentage, where it changes during the run: one number, 0 to 100"
        ),
        "groups": _ours(ListOf(_TEXT), "score groups (kayenta)"),
        "kayenta": _ours(Anything(mapping=True), "analysisConfigurations.canary of a Kayenta config"),
    },
    one_of=("counts", "histogram", "gauge"),
)

PROVIDERS: Mapping[str, Object] = {
    "prometheus": PROMETHEUS,
    "datadog": DATADOG,
    "newRelic": NEW_RELIC,
    "wavefront": _address_and_query("Wavefront", {}),
    "graphite": _address_and_query("Graphite", {}),
    "influxdb": Object(
        "InfluxDB", {"profile": Field(_TEXT, "secret", default="influxdb"), "query": Field(_TEXT, "Flux")}
    ),
    "skywalking": _address_and_query("SkyWalking", {"interval": Field(_DURATION, "how far back the query looks")}),
    "cloudWatch": CLOUD_WATCH,
    "web": WEB,
    "kayenta": KAYENTA,
    "job": JOB,
    "scrape": SCRAPE,
    "compare": COMPARE,
}

OURS = frozenset({"scrape", "compare"})
PLUGIN = "plugin"  # provider.plugin.<name>: a provider of the table, or one that is installed separately
