"""Arguments whose value is a secret: what has to be read, what is filled in, what must never be shown.

A run keeps secrets by reference only. For planning and judging, a placeholder stands in their place; the real values
exist between reading them and asking a provider, and nowhere else.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from analysis_service.core.model import Argument, SecretKeyRef

PLACEHOLDER = "temp-for-secret"  # Argo's word: it can show in messages
MASK = "*****"


class SecretError(Exception):
    """A secret that is not there; the message is Argo's."""


def reference(argument: Argument, *, strict: bool = False) -> SecretKeyRef | None:
    """Where the argument's value comes from, if it is a secret.

    A reference beats a plain value, as in Argo, so that overriding a secret default with a value has no effect; in
    strict mode the value wins.
    """
    if strict and argument.value is not None:
        return None
    return argument.value_from.secret_key_ref if argument.value_from is not None else None


def needed(arguments: Iterable[Argument], *, strict: bool = False) -> tuple[str, ...]:
    """The names of the secrets to read, each once, in order of use."""
    found = (reference(argument, strict=strict) for argument in arguments)
    return tuple(dict.fromkeys(ref.name for ref in found if ref is not None))


def with_placeholders(arguments: Sequence[Argument], *, strict: bool = False) -> tuple[Argument, ...]:
    """The arguments, secrets replaced by the placeholder."""
    return tuple(
        argument if reference(argument, strict=strict) is None else replace(argument, value=PLACEHOLDER)
        for argument in arguments
    )


def with_secrets(
    arguments: Sequence[Argument], found: Mapping[str, Mapping[str, str]], *, strict: bool = False
) -> tuple[tuple[Argument, ...], tuple[str, ...]]:
    """The arguments with real values, and the values to mask wherever text leaves the process.

    found: secret name -> its keys; a secret that does not exist is absent.
    Raises SecretError for a missing secret or key.
    """
    filled: list[Argument] = []
    masked: list[str] = []
    for argument in arguments:
        ref = reference(argument, strict=strict)
        if ref is None:
            filled.append(argument)
            continue
        if ref.name not in found:
            raise SecretError(f'secrets "{ref.name}" not found')
        if ref.key not in found[ref.name]:
            raise SecretError(f"key '{ref.key}' does not exist in secret '{ref.name}'")
        value = found[ref.name][ref.key]
        filled.append(replace(argument, value=value))
        if value:
            masked.append(value)
    return tuple(filled), tuple(dict.fromkeys(masked))


def redact(text: str, masked: Sequence[str]) -> str:
    """The text with every secret value masked; longer values first, so that none leaves its tail behind."""
    for value in sorted(masked, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
