"""`tidegate lint`: what it reads, what it writes, how it exits. What it finds is tests/core's and tests/templates'."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

GOOD = """\
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: good}
spec:
  metrics:
    - name: errors
      successCondition: len(result) > 0 && result[0] < 0.05
      provider: {prometheus: {address: "http://prometheus.example:9090", query: errors}}
"""
BAD = GOOD.replace("successCondition", "succesCondition").replace("name: good", "name: bad")
DOUBTFUL = GOOD.replace("len(result) > 0 && ", "").replace("name: good", "name: doubtful")
JOB = GOOD[: GOOD.index("    - name")] + "    - {name: smoke, provider: {job: {spec: {template: {}}}}}\n"
OTHER = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"

SARIF = {  # what code-scanning services need of SARIF 2.1.0
    "type": "object",
    "required": ["version", "$schema", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "properties": {
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {"type": "object", "required": ["id"]},
                                    }
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["ruleId", "message", "level", "locations"],
                            "properties": {
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "message": {
                                    "type": "object",
                                    "required": ["text"],
                                    "properties": {"text": {"type": "string", "minLength": 1}},
                                },
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "required": ["physicalLocation"],
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation", "region"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "properties": {"uri": {"pattern": "^[A-Za-z0-9/._~%-]+$"}}
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "required": ["startLine"],
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": {"type": "integer", "minimum": 1},
                                                            "startColumn": {"type": "integer", "minimum": 1},
                                                            "endColumn": {"type": "integer", "minimum": 2},
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    files = {
        "good.yaml": GOOD,
        "bad.yaml": BAD,
        "doubtful.yml": DOUBTFUL,
        "job.yaml": JOB,
        "both.yaml": f"{GOOD}---\n{OTHER}---\n{DOUBTFUL}",
        "only/good.yaml": GOOD,
        "only/deployment.yaml": OTHER,
        "only/.git/bad.yaml": BAD,
        "none/deployment.yaml": OTHER,
        "with space/bäd.yaml": BAD,
    }
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True, parents=True)
        Path(name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "summary"),
    [
        (("good.yaml",), 0, "1 file: no problems"),
        (("bad.yaml",), 2, "1 file: 1 error"),
        (("doubtful.yml",), 0, "1 file: 1 warning"),
        (("doubtful.yml", "--warnings-fail"), 2, "1 file: 1 warning"),
        (("job.yaml",), 0, "1 file: 1 warning"),  # good in Argo; `check` cannot ask it
        (("both.yaml",), 0, "1 file: 1 warning"),
        (("good.yaml", "bad.yaml"), 2, "2 files: 1 error"),
        (("only",), 0, "1 file: no problems"),  # other kinds and hidden folders are passed over
        (("with space",), 2, "1 file: 1 error"),
        (("none",), 2, "none: no template here"),  # a mistyped folder is no clean one
        (("nowhere",), 2, "nowhere does not exist"),
        (("god.yaml",), 2, "did you mean good.yaml?"),
    ],
)
def test_lint(arguments: tuple[str, ...], code: int, summary: str, inside: Callable[..., Any], folder: Path) -> None:
    done = inside("lint", *arguments)
    assert done.code == code, done
    assert summary in done.err


def test_text(inside: Callable[..., Any], folder: Path) -> None:
    done = inside("lint", "bad.yaml")
    assert "bad.yaml:7: " in done.out
    assert "      succesCondition: len(result)" in done.out.replace("    succes", "      succes")
    assert "^^^^" in done.out
    assert "Did you mean 'successCondition'?" in done.out
    assert "[TG022 UnknownField]" in done.out


def test_colours() -> None:
    from analysis_service.cli import lint_text
    from analysis_service.core.lint import lint

    checked = [("bad.yaml", BAD.encode(), lint(BAD)), ("doubtful.yaml", DOUBTFUL.encode(), lint(DOUBTFUL))]
    colored = lint_text.write(checked, color=True)
    assert "\x1b[31mbad.yaml:7: " in colored
    assert "\x1b[33mdoubtful.yaml:" in colored
    assert re.sub(r"\x1b\[\d+m", "", colored) == lint_text.write(checked)


def test_json(inside: Callable[..., Any], folder: Path) -> None:
    found = json.loads(inside("lint", "bad.yaml", "-o", "json").out)
    (wrong,) = [one for one in found if one["severity"] == "error"]
    assert (wrong["file"], wrong["line"], wrong["rule"]) == ("bad.yaml", 7, "TG022")
    assert wrong["path"].startswith("spec.metrics[0]")


@pytest.mark.parametrize("paths", [("good.yaml",), ("bad.yaml", "doubtful.yml"), (".",)])
def test_sarif(paths: tuple[str, ...], inside: Callable[..., Any], folder: Path) -> None:
    document = json.loads(inside("lint", *paths, "-o", "sarif").out)
    jsonschema.validate(document, SARIF)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert all(rule["shortDescription"]["text"] for rule in rules)


def test_sarif_names_files_as_uris(inside: Callable[..., Any], folder: Path) -> None:
    document = json.loads(inside("lint", "with space", "-o", "sarif").out)
    place = document["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "with%20space/b%C3%A4d.yaml"
    assert place["region"]["startLine"] == 7


def test_github(inside: Callable[..., Any], folder: Path) -> None:
    """Errors first: GitHub shows ten."""
    lines = inside("lint", "doubtful.yml", "bad.yaml", "-o", "github").out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning"]
    assert lines[0].startswith("::error file=bad.yaml,line=7,col=7,title=UnknownField::spec.metrics[0]")


def test_standard_input(start: Callable[..., Any], tmp_path: Path) -> None:
    import subprocess

    with start("lint", "-", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(BAD, timeout=20)
    assert process.returncode == 2
    assert "<stdin>:7: " in out
    assert "1 file: 1 error" in err


def test_schema(inside: Callable[..., Any]) -> None:
    """Editors' schema takes what the reader takes."""
    import yaml

    done = inside("schema")
    schema = json.loads(done.out)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(BAD), schema)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, inside: Callable[..., Any]) -> None:
    done = inside("completion", shell)
    assert done.code == 0
    assert "_TIDEGATE_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("words", "at", "found"),
    [
        ("tidegate r", "1", "render"),
        ("tidegate check --on-e", "2", "--on-error"),
        ("tidegate check --on-error p", "3", "pass"),
        ("tidegate runs te", "2", "terminate"),
    ],
)
def test_completed(words: str, at: str, found: str, tidegate: Callable[..., Any]) -> None:
    done = tidegate(env={"_TIDEGATE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": at})
    assert f"plain,{found}" in done.out.splitlines()


def test_what_comes_along_is_there() -> None:
    """Lint does not look these up, so they must be what the package brings."""
    from analysis_service.cli.lint import COMES_ALONG
    from providers import BUILT_IN

    assert COMES_ALONG - {"compare"} <= set(BUILT_IN)


def test_a_provider_that_is_not_installed(inside: Callable[..., Any], folder: Path) -> None:
    done = inside("lint", "job.yaml")
    assert "spec.metrics[0].provider: provider 'job' is not installed: no run here can ask it" in done.out
