"""What a provider is made with."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from providers.base import Provider
from providers.http import Http


@dataclass(frozen=True, slots=True)
class Tools:
    """What the composition root hands to every provider it makes.

    evaluate_time: Prometheus' rangeQuery start and end are expressions of the condition language
        (`now() - duration("1h")`); this evaluates one at a given now. The text of what it raises is for the user.
    """

    http: Http
    evaluate_time: Callable[[str, datetime], datetime]


ProviderFactory = Callable[[Tools], Provider]
"""What `providers.load(name)` returns: a provider's class is one."""
