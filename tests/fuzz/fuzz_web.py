"""Coverage-guided fuzzing of web metrics: any path on any body gives an answer or a ProviderError.

    python tests/fuzz/fuzz_web.py -runs=100000 [corpus folder ...]

A zero byte parts the path from the body; without one the path is `{..a}`. Ends with an exception, and the input that
caused it, when it finds one.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(
    include=["providers.web", "providers.jsonpath", "providers.jsonpath_template", "providers.gojson"]
):
    from providers import gojson, web
    from providers.base import ProviderError
    from providers.http import Response

DATA = b'{"a":[{"b":1,"c":"x"},{"b":2.5,"d":[true,null,[1,2,3]]}],"e":{"f.g":"text","h":{}},"n":null}'


def one_input(data: bytes) -> None:
    path, separator, body = data.partition(b"\x00")
    spec = web.read({"jsonPath": path.decode("utf-8", "replace")})
    for found in (body, DATA) if separator else (data,):
        with suppress(ProviderError):
            answer = web.parse(Response(200, {}, found), spec if separator else web.read({"jsonPath": "{..a}"}))
            if not isinstance(answer.value, str) and "truncated" not in answer.metadata:
                assert gojson.decode(answer.text.encode()).value == answer.value


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
