"""The documents we read: AnalysisTemplate, ClusterAnalysisTemplate and AnalysisRun of argoproj.io/v1alpha1, as data."""

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

API_VERSION = "argoproj.io/v1alpha1"
TEMPLATE, CLUSTER_TEMPLATE, RUN = "AnalysisTemplate", "ClusterAnalysisTemplate", "AnalysisRun"

_TEXT = Text()
_DURATION = Text(duration=True)
_INT32 = Integer(-(1 << 31), (1 << 31) - 1)
OUTCOMES = ("fail", "error", "inconclusive", "pass")

VALUE_FROM = Object(
    "ValueFrom",
    {
        "secretKeyRef": Field(
            Object(
                "SecretKeyRef",
                {"name": Field(_TEXT, "secret", required=True), "key": Field(_TEXT, "key in it", required=True)},
            ),
            "a secret of the run's namespace",
        ),
        "fieldRef": Field(
            Object("FieldRef", {"fieldPath": Field(_TEXT, "path into the object", required=True)}),
            "a field of the Rollout; never resolved in a template or run of its own",
        ),
    },
)

ARGUMENT = Object(
    "Argument",
    {
        "name": Field(_TEXT, "used as {{args.<name>}}", required=True),
        "value": Field(_TEXT, "text to fill in; without one, whoever starts a run must give it"),
        "valueFrom": Field(VALUE_FROM, "where the value comes from"),
    },
)

METRIC = Object(
    "Metric",
    {
        "name": Field(_TEXT, "key of the result", required=True),
        "interval": Field(_DURATION, "from the end of one measurement to the start of the next"),
        "initialDelay": Field(_DURATION, "from the run's start to the first measurement"),
        "count": Field(IntOrString(), "measurements (errors aside) that complete the metric",
                       default="1 without an interval, no end with one"),
        "successCondition": Field(_TEXT, "expression over `result` that makes a measurement Successful"),
        "failureCondition": Field(_TEXT, "expression over `result` that makes a measurement Failed"),
        "failureLimit": Field(IntOrString(), "tolerated failures; -1: any number", default="0"),
        "inconclusiveLimit": Field(IntOrString(), "tolerated inconclusive measurements", default="0"),
        "consecutiveErrorLimit": Field(IntOrString(), "tolerated errors in a row", default="4"),
        "consecutiveSuccessLimit": Field(IntOrString(), "successes in a row that end the metric", default="0: off"),
        "provider": Field(ProviderUnion(), "whom to ask", required=True),
        "onNoData": Field(Text(enum=OUTCOMES), "what an empty answer means", default="as Argo", ours=True),
        "onNaN": Field(Text(enum=OUTCOMES), "what NaN means", default="as Argo: false in every comparison", ours=True),
        "minSamples": Field(Integer(minimum=0), "series or points an answer must hold", ours=True),
        "outagePolicy": Field(
            Object(
                "OutagePolicy",
                {
                    "mode": Field(Text(enum=("count", "wait")), "count: a failed query is an Error measurement; "
                                  "wait: it is none while the provider is down", default="count", ours=True),
                    "max": Field(_DURATION, "longest wait", default="30m", ours=True),
                },
            ),
            "what an unreachable provider means",
            ours=True,
        ),
        "weight": Field(Number(), "share in a score and in the false-alarm budget", default="1", ours=True),
        "critical": Field(Boolean(), "this metric alone can fail a score", default="false", ours=True),
    },
)  # fmt: skip

DRY_RUN = Object("DryRun", {"metricName": Field(_TEXT, "regular expression over metric names", required=True)})
RETENTION = Object(
    "MeasurementRetention",
    {
        "metricName": Field(_TEXT, "regular expression over metric names", required=True),
        "limit": Field(_INT32, "measurements to keep", required=True, default="10"),
    },
)
TEMPLATE_REF = Object(
    "TemplateRef",
    {
        "templateName": Field(_TEXT, "template whose metrics and arguments are added", required=True),
        "clusterScope": Field(Boolean(), "it is a ClusterAnalysisTemplate", default="false"),
    },
)
SCORE = Object(
    "Score",
    {
        "groupWeights": Field(MapOf(Number()), "weight of each group, 100 together", ours=True),
        "scoreThresholds": Field(
            Object(
                "ScoreThresholds",
                {
                    "pass": Field(Number(), "score that passes", required=True, ours=True),
                    "marginal": Field(Number(), "score that is inconclusive", required=True, ours=True),
                },
            ),
            "score thresholds",
            ours=True,
        ),
    },
)

_SHARED: Mapping[str, Field] = {
    "metrics": Field(ListOf(METRIC), "what is measured"),
    "args": Field(ListOf(ARGUMENT), "arguments"),
    "dryRun": Field(ListOf(DRY_RUN), "metrics that are measured and do not decide"),
    "measurementRetention": Field(ListOf(RETENTION), "measurements kept per metric"),
    "score": Field(SCORE, "judge all comparisons by one score, as Kayenta does", ours=True),
}
TEMPLATE_SPEC = Object(
    "TemplateSpec", {**_SHARED, "templates": Field(ListOf(TEMPLATE_REF), "templates to add to this one")}
)
RUN_SPEC = Object(
    "RunSpec",
    {
        **_SHARED,
        "metrics": Field(ListOf(METRIC), "what is measured", required=True),
        "terminate": Field(Boolean(), "end the run now", default="false"),
        "ttlStrategy": Field(
            Object(
                "TtlStrategy",
                {
                    "secondsAfterCompletion": Field(_INT32, "after any end"),
                    "secondsAfterFailure": Field(_INT32, "after Failed"),
                    "secondsAfterSuccess": Field(_INT32, "after Successful"),
                },
            ),
            "when the finished run is deleted",
        ),
    },
)

METADATA = Object(
    "ObjectMeta",
    {
        "name": Field(_TEXT, "name"),
        "generateName": Field(_TEXT, "start of a generated name"),
        "namespace": Field(_TEXT, "namespace"),
        "labels": Field(MapOf(_TEXT), "labels"),
        "annotations": Field(MapOf(_TEXT), "annotations"),
        # written by a cluster; here so that an exported object is accepted as it is
        "uid": Field(_TEXT, "set by the cluster"),
        "resourceVersion": Field(_TEXT, "set by the cluster"),
        "generation": Field(Integer(), "set by the cluster"),
        "creationTimestamp": Field(_TEXT, "set by the cluster"),
        "deletionTimestamp": Field(_TEXT, "set by the cluster"),
        "deletionGracePeriodSeconds": Field(Integer(), "set by the cluster"),
        "finalizers": Field(ListOf(_TEXT), "set by the cluster"),
        "ownerReferences": Field(ListOf(Anything(mapping=True)), "set by the cluster"),
        "managedFields": Field(ListOf(Anything(mapping=True)), "set by the cluster"),
        "selfLink": Field(_TEXT, "set by the cluster"),
    },
)


def _document(kind: str, spec: Object) -> Object:
    return Object(
        kind,
        {
            "apiVersion": Field(_TEXT, API_VERSION, required=True),
            "kind": Field(_TEXT, kind, required=True),
            "metadata": Field(METADATA, "name, namespace, labels"),
            "spec": Field(spec, "the specification", required=True),
            "status": Field(Anything(), "written by the controller; not read"),
        },
    )


DOCUMENTS: Mapping[str, Object] = {
    TEMPLATE: _document(TEMPLATE, TEMPLATE_SPEC),
    CLUSTER_TEMPLATE: _document(CLUSTER_TEMPLATE, TEMPLATE_SPEC),
    RUN: _document(RUN, RUN_SPEC),
}
