"""Secrets: referred to, filled in, masked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis_service.core.model import Argument, SecretKeyRef, ValueFrom
from analysis_service.core.secret_arguments import (
    MASK,
    PLACEHOLDER,
    SecretError,
    needed,
    redact,
    with_placeholders,
    with_secrets,
)


def secret(name: str, key: str = "k", value: str | None = None) -> Argument:
    return Argument(f"arg-{name}", value=value, value_from=ValueFrom(SecretKeyRef(name, key)))


ARGS = (Argument("plain", "1"), secret("a"), secret("b"), secret("a", "other"))


def test_each_secret_is_read_once() -> None:
    assert needed(ARGS) == ("a", "b")


def test_placeholders() -> None:
    assert [a.value for a in with_placeholders(ARGS)] == ["1", PLACEHOLDER, PLACEHOLDER, PLACEHOLDER]


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ({}, 'secrets "a" not found'),
        ({"a": {"other": "x"}, "b": {"k": "y"}}, "key 'k' does not exist in secret 'a'"),
    ],
)
def test_what_is_missing(found: dict[str, dict[str, str]], error: str) -> None:
    with pytest.raises(SecretError) as raised:
        with_secrets(ARGS, found)
    assert str(raised.value) == error


def test_filled_in_and_listed_for_masking() -> None:
    args, masked = with_secrets(ARGS, {"a": {"k": "s1", "other": ""}, "b": {"k": "s2"}})
    assert [a.value for a in args] == ["1", "s1", "s2", ""]
    assert masked == ("s1", "s2")  # an empty text masks nothing


def test_a_plain_value_beside_a_secret() -> None:
    both = (secret("a", value="plain"),)
    # Argo: the secret is used; strict: the override takes effect, and nothing is read
    assert with_secrets(both, {"a": {"k": "s"}})[0][0].value == "s"
    assert needed(both, strict=True) == ()
    assert with_secrets(both, {}, strict=True)[0][0].value == "plain"
    assert with_placeholders(both, strict=True)[0].value == "plain"


@given(st.lists(st.text("abc", min_size=1, max_size=4), max_size=4), st.text("abcx", max_size=30))
def test_no_masked_value_is_left(masked: list[str], text: str) -> None:
    shown = redact(text, masked).replace(MASK, "")
    # what is left was no secret, whichever of them overlap
    assert all(value not in part for value in masked for part in redact(text, masked).split(MASK)), shown
