"""Arguments, files and texts of the command line."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from analysis_service.cli.arguments import read_arguments
from analysis_service.cli.chosen import chosen
from analysis_service.cli.documents import joined, read_file
from analysis_service.cli.options import read_duration
from analysis_service.cli.show import colored, columns, labelled, one_line, width
from analysis_service.core.model import Argument, SecretKeyRef, ValueFrom
from analysis_service.core.template import read_all


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("v1\n", "v1\\n"),
        ("a\tb\r\n", "a\\tb\\r\\n"),
        pytest.param("\x1b[31m", "\\x1b[31m", marks=pytest.mark.bad_input(167)),
        pytest.param("\u202e", "\\u202e", marks=pytest.mark.bad_input(167)),  # turns the text around
        ("\u2028", "\\u2028"),  # a line break to some
        ("\xa0", " "),
        ("é日本", "é日本"),
        ("\ud800", "\\ud800"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown
    assert shown.isprintable()


def test_one_line_is_cut() -> None:
    assert one_line("x" * 10, 5) == "xxxx…"
    assert one_line("x" * 5, 5) == "xxxxx"
    assert len(one_line("\n" * 100, 5)) == 9  # four line breaks, written out


def test_columns() -> None:
    assert columns([("a", "bb", "c"), ("日本", "b", "")]) == ["a     bb  c", "日本  b"]
    assert columns([]) == []
    assert width("e\u0301") == 1
    assert labelled([("q", "one\ntwo\n"), ("long", "x")]) == ["  q     one", "        two", "  long  x"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "no_color", "env", "colors"),
    [
        (Terminal(), False, {}, True),
        (Terminal(), True, {}, False),
        (Terminal(), False, {"NO_COLOR": "1"}, False),
        (Terminal(), False, {"NO_COLOR": ""}, True),  # empty counts as unset
        (Terminal(), False, {"TERM": "dumb"}, False),
        (io.StringIO(), False, {}, False),
        (None, False, {}, False),
    ],
)
def test_colored(
    stream: io.StringIO | None, no_color: bool, env: dict[str, str], colors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ({"TERM": "xterm", "NO_COLOR": ""} | env).items():
        monkeypatch.setenv(name, value)
    assert colored(stream, no_color) is colors


SECRET = ValueFrom(secret_key_ref=SecretKeyRef(name="tok", key="key/part"))


@pytest.mark.parametrize(
    ("texts", "arguments"),
    [
        (("a=1", "b=x=y"), (Argument("a", "1"), Argument("b", "x=y"))),
        (("a=",), (Argument("a", ""),)),
        (("a=@tok/key/part",), (Argument("a", value_from=SECRET),)),
        (("a=@@team",), (Argument("a", "@team"),)),
        (("a=1", "a=1"), (Argument("a", "1"),)),
    ],
)
def test_arguments(texts: tuple[str, ...], arguments: tuple[Argument, ...]) -> None:
    assert read_arguments(texts, ()) == arguments


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("a",), "'a' is not NAME=VALUE"),
        (("=a",), "'=a' is not NAME=VALUE"),
        (("a=1", "a=2"), "'a' is given twice with different values"),
        (("a=@team",), "a=@team refers to no secret; want a=@SECRET/KEY, or a=@@team for the text @team"),
    ],
)
def test_arguments_that_are_none(texts: tuple[str, ...], said: str) -> None:
    with pytest.raises(click.BadParameter) as error:
        read_arguments(texts, ())
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "arguments"),
    [
        ("a.yaml", "limit: 0.10\non: yes-please\ns: \"@tok/key/part\"\n", ["limit=0.10", "on=yes-please", "s=@"]),
        ("a.json", '{"limit": 5, "name": "x"}', ["limit=5", "name=x"]),
        ("a.env", "# who\nlimit=0.10\n\nname=a b\n", ["limit=0.10", "name=a b"]),
    ],
)  # fmt: skip
def test_argument_files(name: str, content: str, arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    found = read_arguments((), (path,))
    assert [f"{a.name}={a.value if a.value is not None else '@'}" for a in found] == arguments
    assert read_arguments(("limit=9",), (path,))[0] == Argument("limit", "9")  # the command line wins


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "- a\n", "want a map of argument names to values"),
        ("a.yaml", "a: [1]\n", "a.yaml:1: a: want a text or a number"),
        ("a.yaml", "a: 1\na: 2\n", "a.yaml:2"),
        ("a.json", "{", "a.json"),
        ("a.env", "a\n", "'a' is not NAME=VALUE"),
    ],
)
def test_argument_files_that_are_none(name: str, content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(click.ClickException) as error:
        read_arguments((), (path,))
    assert said in error.value.message


def test_files(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("x")
    for path, said in (
        (tmp_path / "tempalte.yaml", "did you mean"),
        (tmp_path / "none" / "x.yaml", "there is no folder"),
        (tmp_path, "is a folder; name its files"),
    ):
        with pytest.raises(click.ClickException) as error:
            read_file(path)
        assert said in error.value.message
        assert error.value.exit_code == 2


def test_json_files_together(tmp_path: Path) -> None:
    """Two JSON files are two documents; the first does not make the whole text JSON."""
    one = b'{"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "%s"}}'
    documents = read_all(joined([("a.json", one % b"a"), ("b.json", one % b"b")]))
    assert [document.template.name for document in documents] == ["a", "b"]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("500ms", 0.5)])
def test_durations(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "1d", "0s", "-1s", "soon"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(click.BadParameter, match="want 90s or 1h30m"):
        read_duration(text)


@pytest.mark.parametrize(("wanted", "found"), [((), [0, 1]), (("b",), [1]), (("b", "a", "b"), [1, 0])])
def test_chosen(wanted: Sequence[str], found: list[int]) -> None:
    assert chosen(wanted, ("a", "b")) == found


def test_chosen_wrongly() -> None:
    with pytest.raises(click.BadParameter, match="did you mean 'error-rate'"):
        chosen(("eror-rate",), ("error-rate", "latency"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("chekc",), "Did you mean 'check'?"),
        (("check",), "Give template files, or --template with --server"),
        (("check", "--template", "x"), "give --server too"),
        (("check", "x.yaml", "--run-key", "k"), "--run-key joins a run of a service"),
        (("check", "x.yaml", "--outptu", "json"), "Did you mean '--output'?"),
        (("check", "x.yaml", "--on-error", "ignore"), "'ignore' is not one of 'fail', 'pass', 'inconclusive'"),
        (("check", "x.yaml", "--timeout", "1d"), "want 90s or 1h30m"),
        (("check", "no-such-file.yaml"), "no-such-file.yaml does not exist"),
        (("check", "x.yaml", "--server", "127.0.0.1:1", "--prometheus", "http://x"), "--prometheus is for checks"),
        (("lint",), "Missing argument"),
        (("lint", "no-such-file.yaml"), "no-such-file.yaml does not exist"),
        (("render",), "Give template files"),
        (("query",), "Give template files"),
        (("runs", "list"), "Give --server HOST:PORT or set TIDEGATE_SERVER"),
        (("templates", "apply"), "Which templates?"),
        (("completion", "tcsh"), "'bash', 'zsh', 'fish'"),
        (("serve", "--store", "redis:"), "neither memory: nor sqlite:PATH"),
        (("serve", "--listen", "0.0.0.0:1"), "has no TLS"),
    ],
)
def test_usage(
    arguments: tuple[str, ...], said: str, inside: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text("x: 1\n")
    done = inside(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err
