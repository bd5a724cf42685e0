"""A Kayenta canary config becomes a template that our own reader takes, and nothing gets lost in silence."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.kayenta_import import import_canary_config
from analysis_service.core.statistics.kayenta_config import ConfigError
from analysis_service.core.statistics.score import parse_score
from analysis_service.core.template import read_value


def metric(name="errors", query=None, groups=("errors",), scope="default", **canary):
    inline = 'PromQL:sum(rate(http_errors{app="${scope}",zone="${location}"}[1m]))'
    return {
        "name": name,
        "query": {"type": "prometheus", "serviceType": "prometheus", "customInlineTemplate": inline} | (query or {}),
        "groups": list(groups),
        "analysisConfigurations": {"canary": canary},
        "scopeName": scope,
    }


def config(*metrics, **fields):
    return {
        "name": "checkout",
        "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
        "metrics": list(metrics) or [metric()],
        "templates": {},
        "classifier": {"groupWeights": {"errors": 100}},
    } | fields


def lost_of(found):
    return {item.path: item.why for item in found.lost}


def test_the_whole():
    found = import_canary_config(
        config(metric(direction="increase", critical=True, effectSize={"allowedIncrease": 1.2})),
        thresholds=(90, 70),
        interval="30s",
        duration="20m",
    )
    assert found.lost == ()
    assert found.template == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "checkout"},
        "spec": {
            "args": [
                {"name": "canary-scope"},
                {"name": "stable-scope"},
                {"name": "canary-location"},
                {"name": "stable-location"},
                {"name": "prometheus-address"},
            ],
            "metrics": [
                {
                    "name": "errors",
                    "interval": "30s",
                    "critical": True,
                    "provider": {
                        "compare": {
                            "arms": {
                                "canary": {
                                    "scope": "{{args.canary-scope}}",
                                    "location": "{{args.canary-location}}",
                                },
                                "stable": {
                                    "scope": "{{args.stable-scope}}",
                                    "location": "{{args.stable-location}}",
                                },
                            },
                            "gauge": {
                                "prometheus": {
                                    "address": "{{args.prometheus-address}}",
                                    "query": 'sum(rate(http_errors{app="{{arm.scope}}",zone="{{arm.location}}"}[1m]))',
                                }
                            },
                            "maxDuration": "20m",
                            "test": "kayenta",
                            "kayenta": {
                                "direction": "increase",
                                "critical": True,
                                "effectSize": {"allowedIncrease": 1.2},
                            },
                            "groups": ["errors"],
                        }
                    },
                }
            ],
            "score": {"groupWeights": {"errors": 100}, "scoreThresholds": {"pass": 90, "marginal": 70}},
        },
    }


@pytest.mark.parametrize(
    ("canary", "settings", "lost"),
    [
        ({"direction": "increase", "effectSize": {"allowedIncrease": 1.5}}, {"margin": {"relative": 0.5}}, ""),
        (
            {"direction": "decrease", "effectSize": {"allowedDecrease": 0.8}},
            {"direction": "decrease", "margin": {"relative": 0.2}},
            "",
        ),
        # one margin for both sides: the stricter
        (
            {"effectSize": {"allowedIncrease": 1.5, "allowedDecrease": 0.8}},
            {"direction": "either", "margin": {"relative": 0.2}},
            "there is one margin for both sides",
        ),
        # Kayenta's default allows nothing, which is no margin
        ({"direction": "increase"}, {"margin": {"relative": 0.1}}, "it leaves no room for noise"),
        (
            {"direction": "increase", "effectSize": {"measure": "cles", "allowedIncrease": 0.8}},
            {"margin": {"relative": 0.1}},
            "a chance is no margin",
        ),
        (
            {"direction": "increase", "effectSize": {"allowedIncrease": 1.5, "criticalIncrease": 2.0}},
            {"margin": {"relative": 0.5}},
            "critical metrics fail at the same margin",
        ),
    ],
)
def test_our_own_tests(canary, settings, lost):
    found = import_canary_config(config(metric(**canary)), test="default", thresholds=(95, 75))
    compare = found.template["spec"]["metrics"][0]["provider"]["compare"]
    assert {key: compare[key] for key in settings} == settings
    assert "test" not in compare
    assert "kayenta" not in compare
    assert [item.path for item in found.lost] == (
        ["metrics[0].analysisConfigurations.canary.effectSize"] if lost else []
    )
    assert lost in "".join(item.why for item in found.lost)


def test_missing_data_in_our_own_words():
    found = import_canary_config(
        config(metric(nanStrategy="replace", mustHaveData=True, outliers={"strategy": "remove"})), test="default"
    )
    entry = found.template["spec"]["metrics"][0]
    assert (entry["onNoData"], entry["provider"]["compare"]["missing"]) == ("fail", "zero")
    assert "clipped" in lost_of(found)["metrics[0].analysisConfigurations.canary.outliers"]


def test_muted_metrics_are_dry_runs():
    found = import_canary_config(config(metric(), metric("p99 (ms)", muted=True)))
    assert found.template["spec"]["dryRun"] == [{"metricName": r"^p99\ \(ms\)$"}]


def test_other_scopes_have_arguments_of_their_own():
    found = import_canary_config(config(metric(), metric("db", scope="database")))
    assert [a["name"] for a in found.template["spec"]["args"]] == [
        "canary-scope",
        "stable-scope",
        "canary-location",
        "stable-location",
        "canary-database-scope",
        "stable-database-scope",
        "canary-database-location",
        "stable-database-location",
        "prometheus-address",
    ]
    compare = found.template["spec"]["metrics"][1]["provider"]["compare"]
    assert compare["arms"]["stable"]["scope"] == "{{args.stable-database-scope}}"


@pytest.mark.parametrize(
    ("query", "provider"),
    [
        (
            {
                "customInlineTemplate": None,
                "metricName": "cpu",
                "resourceType": "aws_ec2_instance",
                "labelBindings": ["a=b"],
            },
            {
                "prometheus": {
                    "address": "{{args.prometheus-address}}",
                    "query": 'avg(cpu{a=b,asg_groupName="{{arm.scope}}",zone=~"{{arm.location}}.{1}"})',
                }
            },
        ),
        # the query's own attribute wins over the arm's
        (
            {"customInlineTemplate": "PromQL:up{kind='${resourceType}',s='${scope}'}", "resourceType": "pod"},
            {"prometheus": {"address": "{{args.prometheus-address}}", "query": "up{kind='pod',s='{{arm.scope}}'}"}},
        ),
        (
            {"serviceType": "datadog", "customInlineTemplate": "avg:cpu{app:${scope}}"},
            {"datadog": {"apiVersion": "v2", "query": "avg:cpu{app:{{arm.scope}}}"}},
        ),
        (
            {"serviceType": "newrelic", "customInlineTemplate": "SELECT count(*) FROM T WHERE app = '${scope}'"},
            {"newRelic": {"query": "SELECT count(*) FROM T WHERE app = '{{arm.scope}}'"}},
        ),
    ],
)
def test_queries(query, provider):
    found = import_canary_config(config(metric(query=query)))
    assert found.template["spec"]["metrics"][0]["provider"]["compare"]["gauge"] == provider


@pytest.mark.parametrize(
    ("fields", "path", "why"),
    [
        ({"judge": {"name": "dredd-v1.0"}}, "judge.name", "only NetflixACAJudge-v1.0 is known"),
        ({"judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {"a": 1}}}, "judge.judgeConfigurations",
         "no judge reads them"),
        ({"description": "x"}, "description", "informative"),
        ({"lookBackMins": 5}, "lookBackMins", "not a field of a canary config"),
        ({"name": "Check_Out"}, "name", "check-out is set"),
        ({"classifier": {"groupWeights": {"errors": 50, "gone": 50}}}, "classifier.groupWeights.gone",
         "no metric is in it"),
        ({"classifier": {"groupWeights": {"errors": 150}}}, "classifier.groupWeights", "scaled down"),
        ({"classifier": {"groupWeights": {"errors": -5.0}}}, "classifier.groupWeights", "0 is set"),
        ({"classifier": {}}, "classifier.scoreThresholds", "95 and 75 are set"),
        (
            {"classifier": {"scoreThresholds": {"pass": 80, "marginal": 60}}},
            "classifier.scoreThresholds",
            "the config's are set",
        ),
        # thresholds that cannot be are not taken over
        ({"classifier": {"scoreThresholds": {"pass": 60, "marginal": 80}}}, "classifier.scoreThresholds", "95 and 75"),
        ({"metrics": [metric(), metric()]}, "metrics[1].name", "errors-2 is set"),
        ({"metrics": [metric(), metric("b", groups=())]}, "metrics[1].groups", "a group of its own, `default`"),
        ({"metrics": [metric(query={"groupByFields": ["pod"], "customInlineTemplate": None, "metricName": "m",
                                    "resourceType": "gce_instance"})]}, "metrics[0].query.groupByFields", "averaged"),
        ({"metrics": [metric(query={"customInlineTemplate": "PromQL:up"})]}, "metrics[0].query",
         "both arms ask the same"),
        # what cannot be asked is left out, and said
        ({"metrics": [metric(), metric("x", {"serviceType": "atlas"})]}, "metrics[1].query", "type atlas are not"),
        ({"metrics": [metric(), {"name": "x"}]}, "metrics[1].query", "the metric has no query"),
        ({"metrics": [metric(), metric("x", {"customInlineTemplate": None, "customFilterTemplate": "gone"})]},
         "metrics[1].query", "no such template"),
        ({"metrics": [metric(), metric("x", {"serviceType": "datadog", "customInlineTemplate": None})]},
         "metrics[1].query", "only queries that a template spells out"),
    ],
)  # fmt: skip
def test_what_is_lost_is_said(fields, path, why):
    found = import_canary_config(config(**fields))
    assert why in lost_of(found)[path]
    parse_score(found.template["spec"]["score"])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (config(metric(critical="yes")), "metrics[0].analysisConfigurations.canary.critical: true or false"),
        (
            config(metric(query={"serviceType": "atlas"})),
            "metrics: none of them can be asked for here (metrics[0].query:",
        ),
        ({"name": "x"}, "metrics: a list of metrics is wanted"),
        (config() | {"metrics": []}, "the config names none"),
    ],
)
def test_refused(broken, message):
    with pytest.raises(ConfigError) as caught:
        import_canary_config(broken)
    assert message in str(caught.value)


names = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=12).filter(
    lambda name: "{" not in name and "}" not in name and name.strip() == name
)


@settings(deadline=None)
@given(
    st.lists(names, min_size=1, max_size=4),
    st.booleans(),
    st.dictionaries(names, st.floats(-10, 200), max_size=3),
    st.sampled_from(["kayenta", "default"]),
)
def test_our_own_reader_takes_every_template(metrics, muted, weights, test):
    entries = [metric(name, groups=[name], muted=muted) for name in metrics]
    found = import_canary_config(config(*entries, classifier={"groupWeights": weights}), test=test)
    json.dumps(found.template, allow_nan=False)
    read = read_value(found.template)
    assert read.problems == ()
    assert len(read.template.metrics) == len(metrics)
    parse_score(found.template["spec"]["score"])
