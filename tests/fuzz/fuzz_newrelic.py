"""Coverage-guided fuzzing of New Relic's answers: nothing but ProviderError may come out.

    python tests/fuzz/fuzz_newrelic.py -runs=100000 [corpus folder ...]

The first bytes choose the status and what is wrapped around the rest. Ends with an exception, and the input that
caused it, when it finds one.
"""

import sys
from contextlib import suppress

import atheris
from fragments import Bytes, fragment

with atheris.instrument_imports(include=["providers.newrelic", "providers.gojson"]):
    from providers import newrelic
    from providers.base import ProviderError
    from providers.http import Response

STATUSES = (200, 200, 200, 401, 500, 400)
KEYS = ("data", "actor", "account", "nrql", "results", "errors", "message", "extensions", "errorClass", "errorCode")
WRAPS = (
    b"%s",
    b'{"data":{"actor":{"account":{"nrql":{"results":%s}}}}}',
    b'{"data":{"actor":%s}}',
    b'{"data":null,"errors":%s}',
    b'{"errors":[{"message":%s,"extensions":%s}]}',
)


def one_input(data: bytes) -> None:
    choices = Bytes(data)
    status = STATUSES[choices.choose(len(STATUSES))]
    body = WRAPS[choices.choose(len(WRAPS))]
    while b"%s" in body:
        body = body.replace(b"%s", fragment(choices, KEYS).encode(), 1)
    for found in (body, data):
        with suppress(ProviderError):
            assert newrelic.parse(Response(status, {}, found, ("secret-key",))).text


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
