"""`tidegate import kayenta`, as a process: the template runs through lint, what got lost is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = {
    "name": "checkout",
    "applications": ["checkout"],
    "judge": {"name": "NetflixACAJudge-v1.0", "judgeConfigurations": {}},
    "metrics": [
        {
            "name": "errors",
            "query": {
                "type": "prometheus",
                "serviceType": "prometheus",
                "customInlineTemplate": "PromQL:sum(rate(http_errors{pod=~\"${scope}.*\"}[1m]))",
            },
            "groups": ["errors"],
            "analysisConfigurations": {"canary": {"direction": "increase", "critical": True}},
        },
        {
            "name": "cpu",
            "query": {"type": "atlas", "serviceType": "atlas", "q": "name,cpu,:eq"},
            "groups": ["system"],
            "analysisConfigurations": {"canary": {"direction": "either"}},
        },
    ],
    "classifier": {"groupWeights": {"errors": 60, "system": 40}, "scoreThresholds": {"pass": 90, "marginal": 70}},
}  # fmt: skip


@pytest.mark.parametrize("test", ["kayenta", "default"])
def test_the_template_is_one_that_lint_accepts(tmp_path: Path, test: str, tidegate: Callable[..., Any]) -> None:
    config, out, lost = tmp_path / "config.json", tmp_path / "template.yaml", tmp_path / "lost.json"
    config.write_text(json.dumps(CONFIG))
    done = tidegate("import", "kayenta", str(config), "--test", test, "--out", str(out), "--lost", str(lost))
    assert (done.code, done.out) == (0, "")
    assert tidegate("lint", str(out)).code == 0
    assert "{{arm.scope}}" in out.read_text()
    entries = json.loads(lost.read_text())
    assert any("metrics[1]" in entry["path"] for entry in entries), entries  # no such store here
    assert f"{len(entries)} things could not be mapped" in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no canary config"),
        ("[]", "no canary config"),
        ('{"metrics": []}', ""),
    ],
)
def test_what_is_no_canary_config_is_refused(
    tmp_path: Path, text: str, message: str, tidegate: Callable[..., Any]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(text)
    done = tidegate("import", "kayenta", str(config))
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
