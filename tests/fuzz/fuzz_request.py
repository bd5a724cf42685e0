"""Coverage-guided fuzzing of what callers send as text: tokens, filters and resource names are read or refused.

    python tests/fuzz/fuzz_request.py -runs=100000 [corpus folder ...]

What was not sealed here must never be read out of a token. Ends with an exception, and the input that caused it,
when it finds one.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(
    include=["analysis_service.api.tokens", "analysis_service.api.filters", "analysis_service.api.resources"]
):
    from analysis_service.api import resources, tokens
    from analysis_service.api.errors import ApiError
    from analysis_service.api.filters import FilterError, parse_filter

PAYLOAD: dict[str, str | int] = {"after": "2026-01-01|x", "sequence": 5}
SEALED = tokens.seal("a store", "runs", PAYLOAD)


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    for read in (lambda text: parse_filter(text, "team"), resources.run_resource, resources.template_resource):
        with suppress(ApiError, FilterError):
            read(text)
    for place in range(0, len(SEALED), 7):
        with suppress(tokens.BadToken):
            # characters that base64 passes over change nothing; whatever else is read was never sealed
            assert tokens.unseal("a store", "runs", SEALED[:place] + text + SEALED[place + len(text) :]) == PAYLOAD
    with suppress(tokens.BadToken):
        raise AssertionError(tokens.unseal("another store", "runs", SEALED))


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
