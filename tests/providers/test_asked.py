"""A status that is no answer comes from somewhere: every provider says which host and path, and nothing secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from yarl import URL

from providers import load
from providers.base import Context, ProviderError
from providers.http import Request, Response
from providers.tools import Tools

KEY = "api-key-0123456789"


@dataclass(frozen=True)
class Vault:
    """Every secret is this one."""

    content: Mapping[str, str]

    async def read(self, namespace: str, name: str) -> Mapping[str, str]:
        return self.content


PROVIDERS: dict[str, tuple[Callable[[str], Mapping[str, Any]], str]] = {
    # the spec that asks an address, and the path that is asked there
    "prometheus": (lambda address: {"address": address, "query": "up"}, "/api/v1/query"),
    "web": (lambda address: {"url": f"{address}/status?token=hush-0123456789"}, "/status"),
    "scrape": (lambda address: {"targets": [f"{address}/metrics?token=hush-0123456789"], "query": "up"}, "/metrics"),
    "datadog": (lambda address: {"query": "avg:a{*}", "apiVersion": "v1"}, "/api/v1/query"),
    "newRelic": (lambda address: {"query": "SELECT count(*) FROM t"}, ""),
}


@pytest.mark.parametrize("behaviour", ["redirect", "redirect 307", "300", "401", "403", "404", "429", "500", "503"])
@pytest.mark.parametrize("name", PROVIDERS)
async def test_which_page_answered_so(
    name: str, behaviour: str, tools: Tools, backend: Any, context: Callable[..., Context]
) -> None:
    spec, path = PROVIDERS[name]
    address = backend.url(behaviour)
    vault = Vault(
        {"address": address, "api-key": KEY, "app-key": KEY, "personal-api-key": KEY, "account-id": "12"}
        | {"base-url-nerdgraph": address, "region": "us"}
    )
    with pytest.raises(ProviderError) as caught:
        await load(name)(tools).query(spec(address), replace(context(), secrets=vault))
    message = str(caught.value)
    number = address.rpartition("/")[2]
    assert f"(asked http://{URL(address).raw_authority}/{number}{path})" in message
    for secret in (KEY, "hush", "token=", "?"):
        assert secret not in message


@pytest.mark.parametrize(
    ("url", "secrets", "asked"),
    [
        ("http://prom:9090/api/v1/query?query=up", (), " (asked http://prom:9090/api/v1/query)"),
        ("https://prom/", (), " (asked https://prom/)"),
        # keys that some put into the path
        ("https://hooks/T0/s3cr3t-key/x", ("s3cr3t-key",), " (asked https://hooks/T0/[redacted]/x)"),
        ("https://hooks/a%20b-s3cr3t", ("a b-s3cr3t",), " (asked https://hooks/[redacted])"),
        # a part of a key would not be recognised
        ("https://hooks/" + "x" * 120, (), " (asked https://hooks/...)"),
    ],
)
def test_the_words(url: str, secrets: tuple[str, ...], asked: str) -> None:
    parsed = URL(url, encoded=True)
    assert Request(url=parsed, who="it", secrets=secrets).asked == asked
    assert Response(500, {}, b"", secrets, parsed).asked == asked


def test_nothing_was_asked() -> None:
    assert Response(500, {}, b"").asked == ""
