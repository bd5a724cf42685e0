"""A measurement's phase from its conditions and its result: Argo's rule (section 8.1 of its behaviour)."""

from datetime import datetime
from typing import Literal

import msgspec

from analysis_service.core.model import Phase

from .condition import Condition, prepare_condition
from .demand import is_list
from .errors import Code, ExpressionError
from .explain import NAN_NOTE, explain, show
from .kinds import Value

_NO_DATA = "metric result is nil or empty: no data returned from the metric provider"
_NO_DATA_HINT = "query returned no series; guard with len(result) > 0 or set onNoData"

Outcome = Literal["", "true", "false"]


class Verdict(msgspec.Struct, frozen=True):
    """phase: Successful, Failed, Inconclusive or Error.
    message: Argo's text, empty unless Error.
    explanation: why, in a sentence, with the values that were compared.
    code: what kind of error, empty unless Error.
    success, failure: what each condition gave, empty if there is none or it failed.
    """

    phase: Phase
    message: str = ""
    explanation: str = ""
    code: Code | Literal[""] = ""
    success: Outcome = ""
    failure: Outcome = ""


def nil_or_empty(value: Value) -> bool:
    """No data: nil, or an empty list. An empty text or map is data."""
    return value is None or (is_list(value) and len(value) == 0)


def judge(success: str, failure: str, result: Value, *, now: datetime | None = None) -> Verdict:
    """The phase of a measurement that returned `result`. Never raises."""
    outcomes: dict[str, bool] = {}
    for field, source in (("successCondition", success), ("failureCondition", failure)):
        if source:
            try:
                outcomes[field] = prepare_condition(source).decide(result, now=now)
            except ExpressionError as error:
                return _failed(field, source, result, error)
    succeeded, failed = outcomes.get("successCondition"), outcomes.get("failureCondition")
    phase = _phase(succeeded, failed)
    texts = []
    if succeeded:  # the value stands beside this sentence: what held needs no taking apart
        texts.append(f"successCondition {success} holds")
    elif succeeded is False:
        texts.append(_sentence("successCondition", success, result, now))
    if failed is not None and (failed or succeeded is not True):
        texts.append(_sentence("failureCondition", failure, result, now))
    if succeeded and failed:
        texts.append("both hold, so the conditions overlap, and the failure counts")
    if result != result:
        texts = [text.replace(NAN_NOTE, "") for text in texts]  # said once, with the remedy
        texts.append("value is NaN, and NaN compared as false; isNaN(result) tests for it, onNaN decides it")
    return Verdict(
        phase,
        explanation="; ".join(texts) or "no condition to meet",
        success=_outcome(succeeded),
        failure=_outcome(failed),
    )


def _phase(succeeded: bool | None, failed: bool | None) -> Phase:
    if failed or (failed is None and succeeded is False):
        return Phase.FAILED
    if succeeded is False:
        return Phase.INCONCLUSIVE
    return Phase.SUCCESSFUL


def _outcome(value: bool | None) -> Outcome:
    return "" if value is None else "true" if value else "false"


def _failed(field: str, source: str, result: Value, error: ExpressionError) -> Verdict:
    empty = nil_or_empty(result)
    cause = _NO_DATA if empty else error.message
    hint = error.hint or error.message
    if empty:
        broken = error.code in ("Syntax", "UnknownName", "UnknownFunction", "NotAllowed", "TooLong", "TooDeep")
        hint = f"{error.message}: {hint}" if broken else _NO_DATA_HINT
    return Verdict(
        Phase.ERROR,
        message=f'could not evaluate {field} "{source}": {cause}',
        explanation=f"{field}: {hint}",
        code="NoData" if empty and not broken else error.code,
    )


def _sentence(field: str, source: str, result: Value, now: datetime | None) -> str:
    """The parts of a condition that made it what it is, with their values."""
    condition: Condition = prepare_condition(source)
    parts = explain(condition, result, now=now)
    last = parts[-1]
    telling = [part for part in parts if part.value is last.value] if len(parts) > 1 else list(parts)
    shown = "; ".join(f"{part.text}: {part.detail}" for part in telling[:4])
    return f"{field} {shown or show(result)}"
