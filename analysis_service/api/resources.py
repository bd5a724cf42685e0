"""Resource names, paging and tokens: what every use case needs before it can begin."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from analysis_service.api import tokens
from analysis_service.api.errors import ApiError, invalid_field
from analysis_service.stores.base import Page, Store

DEFAULT_PAGE, MAX_PAGE = 50, 500
MAX_PAGE_BYTES = 3 << 20  # an answer may have 4 MiB
WEIGHED_AT_ONCE = 25
T = TypeVar("T")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_RUN = re.compile(
    r"namespaces/(?P<namespace>[^/]{1,63})/analysisRuns/(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_TEMPLATE = re.compile(
    r"(?:namespaces/(?P<namespace>[^/]{1,63})/analysisTemplates|clusterAnalysisTemplates)/(?P<name>[^/]{1,253})"
)


def check_namespace(namespace: str) -> None:
    if not _NAMESPACE.fullmatch(namespace):
        raise invalid_field("namespace", f"{namespace[:80]!r} is no namespace: want a-z, 0-9 and - (at most 63)")


def check_name(field: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid_field(field, f"{name[:80]!r} is no name: want a-z, 0-9, - and . (at most 253)")


def run_resource(resource: str) -> tuple[str, str]:
    """(namespace, id) of `namespaces/{namespace}/analysisRuns/{id}`."""
    match = _RUN.fullmatch(resource)
    if match is None:
        raise invalid_field("name", f"{resource[:80]!r} is not namespaces/<namespace>/analysisRuns/<uuid>")
    namespace = match["namespace"]
    if not _NAMESPACE.fullmatch(namespace):
        raise invalid_field("name", f"{namespace[:80]!r} is no namespace: want a-z, 0-9 and - (at most 63)")
    return namespace, match["id"]


def template_resource(resource: str) -> tuple[str, str]:
    """(namespace, name); the namespace of a cluster-wide template is ""."""
    match = _TEMPLATE.fullmatch(resource)
    if match is None or not _NAME.fullmatch(match["name"]) or not _NAMESPACE.fullmatch(match["namespace"] or "x"):
        raise invalid_field(
            "name",
            f"{resource[:80]!r} is neither namespaces/<namespace>/analysisTemplates/<name> "
            "nor clusterAnalysisTemplates/<name>",
        )
    return match["namespace"] or "", match["name"]


def page_size(size: int) -> int:
    """0 means the default; more than the cap is the cap."""
    if size < 0:
        raise invalid_field("page_size", f"{size} is negative; 0 means {DEFAULT_PAGE}, the most is {MAX_PAGE}")
    return min(size, MAX_PAGE) or DEFAULT_PAGE


async def fitting(fetch: Callable[[int], Awaitable[Page[T]]], size: int, weigh: Callable[[T], int]) -> Page[T]:
    """A page of at most `size` items, and of fewer where they would not fit into one answer.

    Weighing is work for the loop, so others get their turn now and then.
    """
    page = await fetch(size)
    total = 0
    for number, item in enumerate(page.items):
        total += weigh(item)
        if total > MAX_PAGE_BYTES and number:
            return await fetch(number)
        if number % WEIGHED_AT_ONCE == WEIGHED_AT_ONCE - 1:
            await asyncio.sleep(0)
    return page


@dataclass(slots=True)
class Tokens:
    """Page and resume tokens of one store. `purpose` binds a token to its method and filter."""

    store: Store
    _key: str = ""

    async def page(self, purpose: str, next_key: str) -> str:
        return tokens.seal(await self._store_id(), purpose, {"after": next_key}) if next_key else ""

    async def after(self, purpose: str, token: str) -> str:
        """The key to continue from; "" at the start."""
        if not token:
            return ""
        try:
            return str(tokens.unseal(await self._store_id(), purpose, token)["after"])
        except (tokens.BadToken, KeyError):
            raise ApiError(
                "INVALID_ARGUMENT",
                "BAD_PAGE_TOKEN",
                "page_token: not a token of this listing; use next_page_token as it came, with the same request",
            ) from None

    async def resume(self, purpose: str, sequence: int) -> str:
        return tokens.seal(await self._store_id(), f"watch:{purpose}", {"sequence": sequence})

    async def resume_from(self, purpose: str, token: str) -> int:
        """The sequence to go on from. Raises RELIST_REQUIRED for a token of another store, or altered."""
        try:
            return int(tokens.unseal(await self._store_id(), f"watch:{purpose}", token)["sequence"])
        except (tokens.BadToken, KeyError, ValueError):
            raise ApiError(
                "OUT_OF_RANGE",
                "RELIST_REQUIRED",
                "resume_token: not a token of this watch and store; list again and watch from the token that gives",
                metadata={"sequence": str((await self.store.info()).sequence)},
            ) from None

    async def _store_id(self) -> str:
        if not self._key:
            self._key = (await self.store.info()).store_id
        return self._key
