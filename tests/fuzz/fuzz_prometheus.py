"""Coverage-guided fuzzing of the Prometheus provider: any body of any status gives an answer or a ProviderError.

    python tests/fuzz/fuzz_prometheus.py -runs=100000 [corpus folder ...]

The body is taken as it is, and as JSON made of the same bytes with the words of Prometheus' API in it. Ends with an
exception, and the input that caused it, when it finds one.
"""

import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["providers.prometheus_answers", "providers.gojson", "providers.durations"]):
    from fragments import Bytes, fragment

    from providers import durations, prometheus_answers
    from providers.base import Answer, ProviderError
    from providers.http import Response

AT = datetime(2024, 1, 1, tzinfo=UTC)
KEYS = ("metric", "value", "values", "__name__", "histogram", "resultType", "result", "status")
KINDS = ("scalar", "vector", "matrix", "string", "")
NUMBERS = ('"1"', '"NaN"', '"+Inf"', '"1e400"', '"0x1"', '" 1"', '"-0"', '""', "1", "null")
STATUSES = (200, 200, 200, 200, 204, 300, 400, 401, 404, 422, 500, 503)


def one_input(data: bytes) -> None:
    choices = Bytes(data)
    status = STATUSES[choices.choose(len(STATUSES))]
    for body in (data, _envelope(choices).encode("utf-8", "surrogatepass")):
        with suppress(ProviderError):
            answer = prometheus_answers.parse(Response(status, {}, body), "here", AT)
            _check(answer)
    with suppress(ValueError):
        durations.parse_seconds(data.decode("utf-8", "replace"))


def _envelope(choices: Bytes) -> str:
    kind = KINDS[choices.choose(len(KINDS))]
    result = (
        _point(choices) if kind == "scalar" else f"[{','.join(_series(choices) for _ in range(choices.choose(4)))}]"
    )
    if choices.choose(4) == 0:
        result = fragment(choices, KEYS)
    warnings = ("", ',"warnings":["w"]', ',"warnings":null', ',"status":"success"')[choices.choose(4)]
    status = ("success", "error")[choices.choose(8) == 7]
    error = ',"errorType":"bad_data","error":"no"' if status == "error" else ""
    return f'{{"status":"{status}"{error},"data":{{"resultType":"{kind}","result":{result}}}{warnings}}}'


def _series(choices: Bytes) -> str:
    points = ",".join(_point(choices) for _ in range(choices.choose(3)))
    return (
        f'{{"metric":{{"a":"b"}},"value":{_point(choices)}}}',
        f'{{"metric":{{}},"values":[{points}]}}',
        fragment(choices, KEYS),
    )[choices.choose(3)]


def _point(choices: Bytes) -> str:
    time = ("1704067200", "1704067200.5", "-1", "1e300", '"x"', "null")[choices.choose(6)]
    return f"[{time},{NUMBERS[choices.choose(len(NUMBERS))]}]"


def _check(answer: Answer) -> None:
    values = [answer.value] if isinstance(answer.value, float) else list(answer.value)
    assert len(answer.samples) == len(values)
    inner = answer.text if isinstance(answer.value, float) else answer.text[1:-1]
    written = inner.split(",") if inner else []
    assert [str(float(text)) for text in written] == [str(value) for value in values]


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
