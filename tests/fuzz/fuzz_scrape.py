"""Coverage-guided fuzzing of the scrape provider: any page and any query give an answer or a ProviderError.

    python tests/fuzz/fuzz_scrape.py -runs=100000 [corpus folder ...]

A zero byte parts the query from the page, a second one the page from an earlier reading; what is missing is taken
from a fixed page. Ends with an exception, and the input that caused it, when it finds one.
"""

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(
    include=[
        "providers.scrape",
        "providers.openmetrics",
        "providers.selector",
        "providers.readings",
        "providers.buckets",
    ]
):
    from providers import readings, scrape
    from providers.base import ProviderError
    from providers.http import Response
    from providers.selector import parse_selector

PAGE = b"""# TYPE a counter
a_total{code="200"} 5
a_total{code="500"} 1 1704067200
# TYPE h histogram
h_bucket{le="0.5"} 1
h_bucket{le="+Inf"} 2 # {trace="x"} 0.7
h_sum 0.9
h_count 2
process_start_time_seconds 1704060000
# EOF
"""
QUERIES = ("a_total", "h", '{__name__=~".+"}', 'a_total{code!~"2.."}')
TYPES = ("text/plain", "application/openmetrics-text; version=1.0.0")
AT = 1704067260.0


def one_input(data: bytes) -> None:
    first, _, rest = data.partition(b"\x00")
    second, _, before = rest.partition(b"\x00")
    queries = (first.decode("utf-8", "replace"), *QUERIES)
    for number, query in enumerate(queries):
        with suppress(ProviderError):
            selector = parse_selector(query)
            for body in (second or first, PAGE):
                _ask(query, selector, body, before.decode("utf-8", "replace"), number)


def _ask(query: str, selector: scrape.Selector, body: bytes, before: str, number: int) -> None:
    kind = TYPES[number % 2]
    with suppress(ProviderError):
        page = scrape.parse(Response(200, {"Content-Type": kind}, body), selector, "here")
        for how in ("", "value", "delta", "rate"):
            for aggregate in ("list", "sum"):
                spec = scrape.ScrapeSpec(("http://t/metrics",), query, aggregate, how)
                with suppress(ProviderError):
                    scrape.answer(spec, selector, {"http://t/metrics": page}, AT, before)
        # a reading that was written is read again, and a page has not grown since itself
        with suppress(ProviderError):
            taken = readings.reading(query, AT, {"t": page})
            again = readings.decode(readings.encode(taken), query, AT + 1)
            if again is not None:
                grown = readings.growth(page, taken.targets["t"], again, "t")
                assert grown is not None
                assert all(not value > 0 for value in grown.values())


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
