"""`test: kayenta`: one metric judged by Kayenta's rule, as a Comparison like any other test's.

The rule's own options decide, not alpha and margin; its guarantee is none, and it is meant for one look over the
whole run (see `kayenta_judge` for what it cannot see).
"""

from typing import Final

from analysis_service.core.model import Phase
from analysis_service.core.statistics.fixed_comparison import Comparison, Effect, TwoSamples
from analysis_service.core.statistics.kayenta_classify import CONFIDENCE, Classification, Label, classify
from analysis_service.core.statistics.kayenta_config import CanaryOptions
from analysis_service.core.statistics.kayenta_prepare import clean

NAME: Final = "kayenta"
_PHASES: Final = {
    Label.PASS: (Phase.SUCCESSFUL, ""),
    Label.HIGH: (Phase.FAILED, ""),
    Label.LOW: (Phase.FAILED, ""),
    Label.NODATA_FAIL: (Phase.FAILED, ""),
    Label.NODATA: (Phase.INCONCLUSIVE, "no-data"),
    Label.ERROR: (Phase.INCONCLUSIVE, "bad-data"),  # scored as a pass by Kayenta, never by us
}


def decide(samples: TwoSamples, *, options: CanaryOptions, name: str = "metric") -> tuple[Comparison, Classification]:
    """Judge one metric's series.

    samples: one number per look, NaN where a look had none, shapes (m,) and (n,). options: `parse_options` of the
    `kayenta` block. name: for the sentence. Never raises. The classification is what `score_results` counts.
    """
    experiment, control = clean(samples.canary, options), clean(samples.stable, options)
    found = classify(experiment, control, options=options, name=name)
    phase, why = _PHASES[found.label]
    if found.critical and found.label is Label.NODATA:
        phase, why = Phase.FAILED, ""  # a critical metric without data fails Kayenta's canary
    shift = found.shift
    effect = None if shift is None else Effect("difference", shift.estimate, shift.lower, shift.upper, CONFIDENCE)
    comparison = Comparison(
        NAME,
        phase,
        f"{found.reason} (kayenta)",
        why,
        effect,
        canary_n=len(experiment),
        stable_n=len(control),
        dropped=len(samples.canary) + len(samples.stable) - len(experiment) - len(control),
        grade="none",
        flags=("critical",) if found.critical else (),
    )
    return comparison, found
