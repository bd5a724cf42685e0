"""Many metrics at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_service.core.statistics.multiple import benjamini_hochberg, e_benjamini_hochberg, holm, mean_e_value

p_values = st.lists(st.floats(0, 1), max_size=15)


@pytest.mark.parametrize(
    ("adjust", "p", "adjusted"),
    [
        (holm, (), ()),
        (holm, (0.01, 0.04, 0.03), (0.03, 0.06, 0.06)),
        (holm, (0.9, 0.8), (1.0, 1.0)),
        (benjamini_hochberg, (0.01, 0.04, 0.03), (0.03, 0.04, 0.04)),
        # the order of the input is kept
        (benjamini_hochberg, (0.04, 0.01), (0.04, 0.02)),
    ],
)
def test_adjusted(adjust, p, adjusted):
    assert adjust(p) == pytest.approx(adjusted)


@settings(deadline=None)
@given(p_values)
def test_adjusting_never_helps_a_metric_and_keeps_the_order(p):
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p)
        assert all(p_i * (1 - 1e-15) <= a <= 1 for p_i, a in zip(p, adjusted, strict=True))
        ranked = [a for _, a in sorted(zip(p, adjusted, strict=True))]
        assert ranked == sorted(ranked)
    assert all(a >= b * (1 - 1e-15) for a, b in zip(holm(p), benjamini_hochberg(p), strict=True))


@pytest.mark.parametrize(
    ("e", "alpha", "places"),
    [
        ((), 0.1, ()),
        # one metric: Markov's bound
        ((9.9,), 0.1, ()),
        ((10.0,), 0.1, (0,)),
        # two of four: each needs 4 / (0.1 * 2) = 20
        ((25.0, 1.0, 20.0, 0.0), 0.1, (0, 2)),
        # the second lifts the first: alone it would need 40
        ((25.0, 1.0, 19.9, 0.0), 0.1, ()),
    ],
)
def test_e_values(e, alpha, places):
    assert e_benjamini_hochberg(e, alpha=alpha) == places


def test_the_mean_of_e_values_is_one():
    assert mean_e_value((30.0, 1.0, 2.0)) == 11.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: holm((1.2,)),
        lambda: benjamini_hochberg((float("nan"),)),
        lambda: e_benjamini_hochberg((-1.0,), alpha=0.1),
        lambda: e_benjamini_hochberg((1.0,), alpha=0),
        lambda: mean_e_value(()),
    ],
)
def test_what_is_refused(call):
    with pytest.raises(ValueError):
        call()
