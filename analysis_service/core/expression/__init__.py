"""The condition language of Argo's analysis templates, a dialect of expr-lang 1.17.

    compile_condition('result[0] < 0.95 && len(result) > 0').decide(array('d', [0.4]))

Values: float is Go's float64, int a checked 64-bit int, str, bool, None is nil, `array('d')` a []float64, `Strings` a
[]string, list or tuple a []any, dict a map[string]any, an aware datetime a time.Time, a timedelta a time.Duration.
"""

from .condition import Condition, compile_condition, evaluate_time, prepare_condition
from .errors import ExpressionError
from .explain import Part, explain
from .kinds import RESULT_KINDS, Strings
from .numbers import as_float, as_int
from .texts import format_float, go_text
from .verdict import Verdict, judge, nil_or_empty
from .warn import Remark

__all__ = [
    "RESULT_KINDS",
    "Condition",
    "ExpressionError",
    "Part",
    "Remark",
    "Strings",
    "Verdict",
    "as_float",
    "as_int",
    "compile_condition",
    "evaluate_time",
    "explain",
    "format_float",
    "go_text",
    "judge",
    "nil_or_empty",
    "prepare_condition",
]
