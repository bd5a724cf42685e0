"""Coverage-guided fuzzing of Datadog's answers: nothing but ProviderError may come out.

    python tests/fuzz/fuzz_datadog.py -runs=100000 [corpus folder ...]

The first byte chooses the API and the status, the rest becomes the body. Ends with an exception, and the input that
caused it, when it finds one.
"""

import sys
from contextlib import suppress

import atheris
from fragments import Bytes, fragment

with atheris.instrument_imports(include=["providers.datadog_answers", "providers.gojson"]):
    from providers import gojson
    from providers.base import ProviderError
    from providers.datadog_answers import parse_v1, parse_v2
    from providers.http import Response

STATUSES = (200, 200, 200, 200, 401, 500)
V1_KEYS = ("pointlist", "tag_set", "series")
V2_KEYS = ("values", "type", "name", "columns", "attributes", "errors")
V1_WRAPS = (
    b"%s",
    b'{"series":%s}',
    b'{"series":[{"pointlist":%s,"tag_set":["a:b"]}]}',
    b'{"status":"error","error":%s}',
)
V2_WRAPS = (
    b'{"data":%s}',
    b'{"data":{"attributes":{"columns":%s}}}',
    b'{"data":{"attributes":{"columns":[{"type":"group","values":%s},{"name":"q","values":%s}]}}}',
    b'{"data":{"errors":%s},"errors":%s}',
)


def one_input(data: bytes) -> None:
    choices = Bytes(data)
    status = STATUSES[choices.choose(len(STATUSES))]
    second = choices.choose(2)
    wraps, keys = (V2_WRAPS, V2_KEYS) if second else (V1_WRAPS, V1_KEYS)
    body = wraps[choices.choose(len(wraps))]
    while b"%s" in body:
        body = body.replace(b"%s", fragment(choices, keys).encode(), 1)
    for found in (body, data):
        response = Response(status, {}, found, ("secret-key",))
        with suppress(ProviderError):
            answer = parse_v2(response) if second else parse_v1(response, start=1598867000, end=1598868000)
            assert answer.text
            gojson.decode(answer.metadata.get("groups", "[]").encode())


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
