"""A provider that answers as a function says, for tests of what asks."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from providers.base import Answer, Context, Spec

SCRIPTED = "scripted"


@dataclass
class Scripted:
    """answer: given the query. `load` finds this provider, and no other."""

    answer: Callable[[str], Awaitable[Answer]]
    asked: list[tuple[str, Context]] = field(default_factory=list)
    name: str = SCRIPTED

    def load(self, name: str) -> "Scripted":
        if name != self.name:
            raise LookupError(f"no provider is called {name!r}")
        return self

    def check(self, spec: Spec) -> list[str]:
        return [] if "query" in spec else ["query is missing"]

    def describe(self, spec: Spec) -> Mapping[str, str]:
        return {"ResolvedQuery": str(spec["query"])}

    def timeout_seconds(self, spec: Spec) -> float:
        return 5.0

    def credentials(self, spec: Spec, context: Context) -> str:
        return str(spec.get("token", ""))

    async def query(self, spec: Spec, context: Context) -> Answer:
        query = str(spec["query"])
        self.asked.append((query, context))
        return await self.answer(query)

    async def close(self) -> None:
        return None
