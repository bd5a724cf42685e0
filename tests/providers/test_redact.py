"""Secrets in every form they take; Go's durations; how providers are found."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

import providers
from providers.durations import parse_seconds
from providers.redact import MASK, Redactor

SECRETS = st.text(min_size=6, max_size=40)


@given(secret=SECRETS, before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_form_survives(secret: str, before: str, after: str) -> None:
    raw = secret.encode("utf-8", "replace").decode()
    redact = Redactor([raw])
    for text in (raw, quote(raw, safe=""), quote_plus(raw), json.dumps(raw)[1:-1]):
        assert redact(f"<{text}>") == f"<{MASK}>" or raw in MASK
    whole = (before + raw + after).encode("utf-8", "replace")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(whole).decode()
        assert MASK in redact(encoded) or len(raw.encode()) < 7


@pytest.mark.parametrize(
    ("secrets", "text", "expected"),
    [
        (["hunter22"], "password hunter22 refused", f"password {MASK} refused"),
        (["short"], "short words stay", "short words stay"),
        ([], "nothing to hide", "nothing to hide"),
        (["secret", "secret-longer"], "secret-longer", MASK),  # the longer one first
        (["a/b c+d"], "a%2Fb%20c%2Bd a%2fb%20c%2bd a/b+c%2Bd", f"{MASK} {MASK} a/b+c%2Bd"),
        (['q"uote"d'], json.dumps({"x": 'q"uote"d'}), f'{{"x": "{MASK}"}}'),
        (["mypassword"], "Basic bXl1c2VyOm15cGFzc3dvcmQ=", f"Basic bXl1c2VyOm{MASK}Q="),  # "myuser:mypassword"
    ],
)
def test_redactor(secrets: list[str], text: str, expected: str) -> None:
    assert Redactor(secrets)(text) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1s", 1),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("300ms", 0.3),
        ("1us", 1e-6),
        ("1\u00b5s", 1e-6),
        ("1\u03bcs", 1e-6),
        ("7ns", 7e-9),
        ("-1h", -3600),
        ("+5s", 5),
        (".5s", 0.5),
        ("1.s", 1),
        ("2562047h47m16.854775807s", 9223372036.854775807),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("??", 'time: invalid duration "??"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1m5", 'time: missing unit in duration "1m5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        (".s", 'time: invalid duration ".s"'),
        ("-", 'time: invalid duration "-"'),
        ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        ("2562047h48m", 'time: invalid duration "2562047h48m"'),
        ('a"\n', 'time: invalid duration "a\\"\\n"'),
    ],
)
def test_durations_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_seconds(text)
    assert str(caught.value) == message


def test_built_in_providers_load() -> None:
    assert {"prometheus", "scrape", "datadog", "newRelic", "web"} <= set(providers.installed())
    for name in providers.BUILT_IN:
        assert providers.load(name).name == name  # type: ignore[attr-defined]


def test_unknown_provider_lists_what_is_installed() -> None:
    with pytest.raises(
        providers.UnknownProvider, match=r"no provider is called 'prometeus'; installed are: .*prometheus"
    ):
        providers.load("prometeus")


@pytest.fixture
def installed(tmp_path, monkeypatch):  # type: ignore[no-untyped-def]
    """Installs distributions whose entry points name providers: a folder on the path is one."""

    def install(distribution: str, name: str, value: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{providers.GROUP}]\n{name} = {value}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    return install


def test_installed_provider(installed) -> None:  # type: ignore[no-untyped-def]
    installed("theirs", "fancy", "collections:OrderedDict")
    assert providers.load("fancy").__name__ == "OrderedDict"  # type: ignore[attr-defined]
    assert "fancy" in providers.installed()


def test_two_with_one_name(installed) -> None:  # type: ignore[no-untyped-def]
    installed("theirs", "prometheus", "theirs:Prometheus")
    with pytest.raises(providers.UnknownProvider) as caught:
        providers.load("prometheus")
    assert str(caught.value) == (
        "two providers are called 'prometheus': the built-in providers.prometheus:Prometheus"
        " and theirs:Prometheus of the package theirs; uninstall one"
    )
    installed("first", "twice", "first:A")
    installed("second", "twice", "second:B")
    with pytest.raises(providers.UnknownProvider) as caught:
        providers.load("twice")
    assert "the package first" in str(caught.value)
    assert "the package second" in str(caught.value)
