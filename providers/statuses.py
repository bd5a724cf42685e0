"""What an HTTP status other than success means for a measurement: whose move is next."""

from providers.base import AuthFailed, BadQuery, ProviderError, Unreachable


def failure(status: int, message: str) -> ProviderError:
    """The error for a status outside of 200 to 299 that `Http.send` lets through, with the provider's own words."""
    if status in (401, 403):
        return AuthFailed(message)
    if status == 408 or status >= 500:
        return Unreachable(message, reason="ProviderDown")
    return BadQuery(message)
