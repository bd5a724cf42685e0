"""What may stand under `provider.<name>`: Argo's providers, and our `scrape` and `compare`.

Argo's CRD drops keys it does not know, so in a cluster every provider may also be written as
`provider.plugin.<name>`; the same table reads both.
"""

from collections.abc import Mapping

from analysis_service.core.wire_http import AUTHENTICATION, HEADERS
from analysis_service.core.wire_ours import COMPARE, SCRAPE
from analysis_service.core.wire_types import (
    Anything,
    Boolean,
    Field,
    Integer,
    IntOrString,
    ListOf,
    MapOf,
    Object,
    Text,
)

_TEXT = Text()
_DURATION = Text(duration=True)

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
