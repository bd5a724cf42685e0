"""The filter language: what it selects, and what it says to those who misspell it."""

import pytest

from analysis_service.api.filters import FilterError, parse_filter
from analysis_service.core.model import Phase
from analysis_service.stores.base import RunFilter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", RunFilter(namespace="a")),
        ("phase = Failed", RunFilter(namespace="a", phases=frozenset({Phase.FAILED}))),
        ("phase in (Failed, Error)", RunFilter(namespace="a", phases=frozenset({Phase.FAILED, Phase.ERROR}))),
        ('template = "x" AND labels.team="pay"', RunFilter(namespace="a", template="x", labels=(("team", "pay"),))),
        # a slash and dots are legal in label keys
        ('labels.app.kubernetes.io/name = "shop"', RunFilter("a", labels=(("app.kubernetes.io/name", "shop"),))),
    ],
)
def test_selects(text: str, expected: RunFilter) -> None:
    assert parse_filter(text, "a") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phase=Foo", "'Foo' is no phase; one of Pending"),
        ("name LIKE '%'", "cannot read the filter at position 1"),
        ("x" * 10_000, "10000 characters; limit 2048"),
        ("owner = me", "unknown field 'owner'; fields: phase, template, labels.<key>"),
        ("template in (a, b)", "template only knows ="),
        ("phase = Failed OR phase = Error", "position 16: expected AND or the end"),
        ("phase = Failed AND", "cannot read the filter at position 19"),
        ("phase in Failed", "write phase = Failed, or phase in (Failed, Error)"),
        ('template = "\'; drop table run;--" ; drop', "expected AND or the end"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, None)
    assert message in str(caught.value)
