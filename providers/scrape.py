"""Reads the metrics pages of processes directly: no metrics server needed.

All targets are fetched at once under one deadline, the selected series are listed or summed. Counters and histograms
are cumulative since their process began, so by default what is judged is their growth since the measurement before
(`readings`). With `as: value` everything is taken as it stands on the page, which is what a comparison wants: it
takes differences per target itself, from `samples` and `histograms`.
"""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from providers import buckets, gojson, readings
from providers.auth import NONE, Access, Authentication, Authenticator, Header
from providers.base import (
    Answer,
    AuthFailed,
    BadAnswer,
    BadQuery,
    Context,
    NoData,
    NotAllowed,
    ProviderError,
    Sample,
    Spec,
    problem_of,
)
from providers.http import Http, Request, Response
from providers.openmetrics import Page, Series, is_cumulative, read_page
from providers.redact import masked
from providers.selector import Selector, parse_selector
from providers.specs import Reader
from providers.statuses import failure
from providers.tls import Tls
from providers.tools import Tools

MAX_TARGETS = 1_000
CONCURRENCY = 2  # requests at once to one process
LONGEST_TIMEOUT = 300
STARTED = "scrape.started"  # metadata: instance -> unix time at which its process began, as JSON

_IN_THREAD = 1024 * 1024  # bytes; reading a page of this size would hold the loop for milliseconds
_ACCEPT = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}
_TEXTS = frozenset({"", "text/plain", "application/openmetrics-text", "application/octet-stream"})


class ScrapeSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The value under `provider.scrape`."""

    targets: tuple[str, ...] = ()
    query: str = ""
    aggregate: Literal["list", "sum"] = "list"
    as_: Literal["", "value", "delta", "rate"] = msgspec.field(default="", name="as")
    timeout_seconds: int = 10
    headers: tuple[Header, ...] = ()
    insecure: bool = False
    authentication: Authentication = NONE

    @property
    def access(self) -> Access:
        return Access(self.authentication, self.headers)


class Scrape:
    """The provider. Shared by all runs."""

    name = "scrape"
    type = "Scrape"

    def __init__(self, tools: Tools) -> None:
        self._http = tools.http
        self._auth = Authenticator(tools.http)
        self._read = Reader("scrape", ScrapeSpec)

    def check(self, spec: Spec) -> list[str]:
        try:
            return problems(self._read(spec), self._http)
        except BadQuery as error:
            return [str(error)]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedScrapeQuery": str(spec.get("query", ""))}

    def timeout_seconds(self, spec: Spec) -> float:
        return float(self._read(spec).timeout_seconds)

    def credentials(self, spec: Spec, context: Context) -> str:
        return self._read(spec).access.fingerprint

    async def query(self, spec: Spec, context: Context) -> Answer:
        """The answer; its metadata, or its error's, holds the reading that the next measurement needs."""
        read = self._read(spec)
        before = (context.previous or {}).get(readings.PREVIOUS, "")
        try:
            selector = parse_selector(read.query)
            pages = await self._fetch(read, selector, context)
            return answer(read, selector, pages, context.at.timestamp(), before)
        except ProviderError as error:
            # a failed question must not cost the reading before it
            if before:
                error.metadata.setdefault(readings.PREVIOUS, before)
            raise

    async def close(self) -> None:
        return None  # the connections are the shared client's

    async def _fetch(self, spec: ScrapeSpec, selector: Selector, context: Context) -> dict[str, Page]:
        deadline = self._http.deadline(min(context.deadline_seconds, spec.timeout_seconds))
        targets = tuple(dict.fromkeys(spec.targets))
        if not targets:
            raise BadQuery("scrape: targets is empty")
        requests = [build(spec, target, self._http) for target in targets]
        pages = await asyncio.gather(
            *(self._page(spec, request, selector, deadline, context) for request in requests), return_exceptions=True
        )
        failed = [page for page in pages if isinstance(page, BaseException)]
        for error in failed:
            if len(failed) > 1 and isinstance(error, ProviderError):
                error.args = (f"{error} (and {len(failed) - 1} of {len(targets)} targets more)",)
            raise error
        return {target: page for target, page in zip(targets, pages, strict=True) if isinstance(page, Page)}

    async def _page(
        self, spec: ScrapeSpec, request: Request, selector: Selector, deadline: float, context: Context
    ) -> Page:
        response = await self._auth.send(request, spec.access, deadline, context.env)
        if len(response.body) < _IN_THREAD:
            return parse(response, selector, request.where)
        return await asyncio.to_thread(parse, response, selector, request.where)


def problems(spec: ScrapeSpec, http: Http) -> list[str]:
    """What is wrong with a resolved spec, without any I/O."""
    found = []
    if not spec.targets:
        found.append("scrape: targets is empty; name at least one http:// address of a metrics page")
    if len(spec.targets) > MAX_TARGETS:
        found.append(f"scrape: {len(spec.targets)} targets; limit {MAX_TARGETS}")
    for number, target in enumerate(spec.targets[:MAX_TARGETS]):
        try:
            http.url(target, f"targets[{number}]")
        except (BadQuery, NotAllowed) as error:
            found.append(problem_of(error))
    try:
        parse_selector(spec.query)
    except BadQuery as error:
        found.append(str(error))
    if not 1 <= spec.timeout_seconds <= LONGEST_TIMEOUT:
        found.append(f"scrape: timeoutSeconds is {spec.timeout_seconds}; allowed are 1..{LONGEST_TIMEOUT}")
    return found + spec.access.check()


def build(spec: ScrapeSpec, target: str, http: Http) -> Request:
    """The GET of one target. Raises BadQuery or NotAllowed."""
    return Request(
        url=http.url(target, "target"),
        who="metrics page",
        headers=_ACCEPT,
        tls=Tls(insecure=spec.insecure),
        concurrency=CONCURRENCY,
    )


def parse(response: Response, selector: Selector, where: str) -> Page:
    """The selected series of one page. Raises what the status or the text means."""
    if response.status in (401, 403):
        raise AuthFailed(f"{where} refused the credentials ({response.status}){response.asked}")
    if response.status == 404:
        raise BadQuery(f"{where}: no metrics page at this path (404){response.asked}")
    if response.status != 200:
        raise failure(response.status, f"{where}: status {response.status}{response.asked}")
    kind = response.content_type
    if kind not in _TEXTS and response.body:
        raise BadAnswer(f"{where}: expected metrics text, got {kind[:60]}", reason="Malformed")
    try:
        return read_page(response.body, selector, openmetrics=kind == "application/openmetrics-text")
    except ProviderError as error:
        error.args = (f"{where}: {error}",)
        raise masked(error, response.secrets) from None


def answer(spec: ScrapeSpec, selector: Selector, pages: Mapping[str, Page], at: float, before: str) -> Answer:
    """What the pages say. at: unix seconds of this reading; before: the previous one's text, "" if there is none.

    Raises NoData for a first reading whose growth is asked for, and where no series is selected.
    """
    if spec.as_ == "value" or (not spec.as_ and not any(_grows(page, selector) for page in pages.values())):
        lines = [(target, one, one.value) for target, page in pages.items() for one in page.series]
        started = {_instance(target): page.started for target, page in pages.items() if page.started is not None}
        metadata = {STARTED: gojson.encode(started)} if started else {}
        return _answer(spec, selector, pages, lines, metadata)
    taken = readings.reading(spec.query, at, pages)
    metadata = {readings.PREVIOUS: readings.encode(taken)}
    if not any(page.known for page in pages.values()):
        raise NoData(f"no series matches {spec.query}", metadata=metadata)
    last = readings.decode(before, spec.query, at)
    if last is None:
        raise NoData("first reading; a delta needs two", metadata=metadata, reason="FirstReading")
    lines, fresh = [], []
    for target, page in pages.items():
        grown = readings.growth(page, taken.targets[target], last, target)
        if grown is None:
            fresh.append(_instance(target))
            continue
        for one in page.series:
            if not spec.as_ and not is_cumulative(one.name, page.types):
                lines.append((target, one, one.value))  # a level beside counters: only asked for, it is differenced
            elif (key := readings.key_of(one)) in grown:
                lines.append((target, one, grown[key]))
    if fresh:
        metadata["scrape.firstReading"] = ", ".join(fresh)
    if len(fresh) == len(pages):
        raise NoData("first reading of every target; a delta needs two", metadata=metadata, reason="FirstReading")
    if spec.as_ == "rate":
        seconds = at - last.at
        lines = [(target, one, value / seconds) for target, one, value in lines]
    return _answer(spec, selector, pages, lines, metadata)


_Line = tuple[str, Series, float]  # target, series, the value that counts


def _answer(
    spec: ScrapeSpec, selector: Selector, pages: Mapping[str, Page], lines: Sequence[_Line], metadata: dict[str, str]
) -> Answer:
    samples = tuple(Sample(_labels(target, one), value, _when(one.seconds)) for target, one, value in lines)
    if any(page.types.get(selector.name) == "histogram" for page in pages.values()):
        return _histograms(spec, selector.name, samples, metadata)
    if spec.aggregate == "sum":
        if not samples and not any(page.known and _grows(page, selector) for page in pages.values()):
            raise NoData(f"no series matches {spec.query}", metadata=metadata)
        # a counter whose labelled series was never incremented is not on the page: it counts 0
        total = sum((sample.value for sample in samples), 0.0)
        return Answer(total, gojson.shortest(total), samples, metadata=metadata)
    values = array("d", [sample.value for sample in samples])
    return Answer(values, f"[{','.join(map(gojson.shortest, values))}]", samples, metadata=metadata)


def _histograms(spec: ScrapeSpec, family: str, samples: Sequence[Sample], metadata: dict[str, str]) -> Answer:
    """A histogram's value is a map: a condition says `result[0].p99 < 0.5`, and cannot compare buckets by mistake."""
    found = buckets.assemble(family, ((s.labels["__name__"], _nameless(s.labels), s.value, s.at) for s in samples))
    if not found:
        raise NoData(f"no series matches {spec.query}", metadata=metadata)
    value = buckets.summary(buckets.add(found)) if spec.aggregate == "sum" else [buckets.summary(one) for one in found]
    return Answer(value, _json(value), histograms=tuple(found), metadata=metadata)


def _json(value: object) -> str:
    return gojson.encode(msgspec.to_builtins(value))


def _grows(page: Page, selector: Selector) -> bool:
    """Whether counters are meant, even if none of them is on the page yet."""
    return is_cumulative(selector.name, page.types) or any(is_cumulative(s.name, page.types) for s in page.series)


def _labels(target: str, series: Series) -> Mapping[str, str]:
    """A series' labels with its name and its process, as a Prometheus server would keep them."""
    labels = {"__name__": series.name, **series.labels}
    if "instance" in labels:
        labels["exported_instance"] = labels.pop("instance")
    labels["instance"] = _instance(target)
    return labels


def _nameless(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in labels.items() if name != "__name__"}


def _instance(target: str) -> str:
    return target.partition("://")[2].partition("/")[0].partition("?")[0]


def _when(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
