"""A canary config is read as Kayenta's judge reads it: lenient words, fatal numbers."""

import pytest

from analysis_service.core.statistics.kayenta_config import (
    CanaryOptions,
    ConfigError,
    Direction,
    EffectSize,
    Measure,
    NanStrategy,
    parse_config,
    parse_options,
)


@pytest.mark.parametrize(
    ("canary", "options"),
    [
        # nothing said: every default
        (None, CanaryOptions()),
        ({}, CanaryOptions()),
        # a word that is none means the default
        ({"direction": "up", "nanStrategy": "ignore", "outliers": {"strategy": "drop"}}, CanaryOptions()),
        ({"direction": "increase"}, CanaryOptions(direction=Direction.INCREASE)),
        ({"nanStrategy": "replace"}, CanaryOptions(nan_strategy=NanStrategy.REPLACE)),
        (
            {"outliers": {"strategy": "remove", "outlierFactor": 2}},
            CanaryOptions(remove_outliers=True, outlier_factor=2.0),
        ),
        (
            {"critical": True, "mustHaveData": True, "muted": True},
            CanaryOptions(critical=True, must_have_data=True, muted=True),
        ),
        # cles has its own neutral value
        ({"effectSize": {"measure": "cles"}}, CanaryOptions(effect=EffectSize(Measure.CLES, 0.5, 0.5, 0.5, 0.5))),
        # the critical limit does not follow the allowed one
        (
            {"effectSize": {"allowedIncrease": 1.2, "criticalDecrease": 0.5}},
            CanaryOptions(effect=EffectSize(allowed_increase=1.2, critical_decrease=0.5)),
        ),
    ],
)
def test_options(canary, options):
    assert parse_options(canary) == options


@pytest.mark.parametrize(
    ("canary", "message"),
    [
        ({"critical": "true"}, "canary.critical: true or false is wanted, found the text 'true'"),
        ({"muted": 1}, "canary.muted: true or false is wanted, found an integer 1"),
        (
            {"effectSize": {"allowedIncrease": "1.2"}},
            "canary.effectSize.allowedIncrease: a number is wanted, found the text '1.2'",
        ),
        ({"effectSize": {"allowedIncrease": True}}, "canary.effectSize.allowedIncrease: a number is wanted"),
        ({"outliers": {"outlierFactor": 2**31}}, "canary.outliers.outlierFactor: 2147483648 does not fit 32 bits"),
        # the values of a list's elements are gathered, and a list is no number
        ({"effectSize": [{"allowedIncrease": 1}]}, "canary.effectSize.allowedIncrease: a number is wanted"),
        ({"direction": 3}, "canary.direction: text is wanted, found an integer"),
    ],
)
def test_fatal(canary, message):
    with pytest.raises(ConfigError) as caught:
        parse_options(canary)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "metrics: a list of metrics is wanted, found nothing"),
        ({"metrics": ["errors"]}, "metrics[0]: a metric is a mapping, found the text"),
        ({"metrics": [{"query": {}}]}, "metrics[0].name: a name is wanted"),
        ({"metrics": [{"name": "a", "groups": "g"}]}, "metrics[0].groups: a list of names is wanted"),
        ({"metrics": [], "classifier": {"groupWeights": {"g": "100"}}}, "classifier.groupWeights.g: a number"),
        (
            {"metrics": [{"name": "a", "analysisConfigurations": {"canary": {"critical": "no"}}}]},
            "metrics[0].analysisConfigurations.canary.critical: true or false is wanted",
        ),
    ],
)
def test_fatal_config(config, message):
    with pytest.raises(ConfigError) as caught:
        parse_config(config)
    assert message in str(caught.value)


def test_unknown_fields_are_ignored():
    config = parse_config({"metrics": [{"name": "a", "groups": ["g"], "scopeName": "default", "x": 1}], "judge": {}})
    assert [(m.name, m.groups) for m in config.metrics] == [("a", ("g",))]
