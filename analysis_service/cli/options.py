"""Options that several commands share. Light: importing this must not cost what a service's client costs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from analysis_service.cli.outcome import CHOOSABLE, POLICY_WORDS, Outcome, Policies

if TYPE_CHECKING:
    from analysis_service.cli.client import Client

Function = TypeVar("Function", bound=Callable[..., Any])


def stacked(*decorators: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """Decorators as one, the first outermost."""

    def apply(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


files_argument = click.argument("files", nargs=-1, type=click.Path(allow_dash=True, path_type=Path))

argument_options = stacked(
    click.option(
        "-a",
        "--arg",
        "args",
        multiple=True,
        metavar="NAME=VALUE",
        help="A template argument. @SECRET/KEY refers to a secret; @@ begins a value with @.",
    ),
    click.option(
        "--arg-file",
        "arg_files",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Arguments from a file: a YAML or JSON map, or lines NAME=VALUE. --arg wins over it.",
    ),
)

namespace_option = click.option(
    "-n",
    "--namespace",
    envvar="TIDEGATE_NAMESPACE",
    default="default",
    show_default=True,
    help="[env TIDEGATE_NAMESPACE]",
)

service_options = stacked(
    click.option(
        "--server", envvar="TIDEGATE_SERVER", metavar="HOST:PORT", help="The service to talk to [env TIDEGATE_SERVER]."
    ),
    click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust this CA instead of the system's.",
    ),
    click.option("--plaintext", is_flag=True, help="No TLS, also to another machine."),
)

reconnect_option = click.option(
    "--reconnect",
    default="30s",
    show_default=True,
    help="How long a service that stopped answering is waited for (its runs survive).",
)

color_option = click.option("--no-color", is_flag=True, help="No colours [env NO_COLOR].")

prometheus_option = click.option(
    "--prometheus",
    metavar="URL",
    envvar="ARGO_ROLLOUTS_PROMETHEUS_ADDRESS",
    help="Address of Prometheus metrics without one of their own [env ARGO_ROLLOUTS_PROMETHEUS_ADDRESS].",
)

policy_options = stacked(
    click.option(
        "--on-error", type=click.Choice(POLICY_WORDS), help="Take provider and store errors, and time-outs, as this."
    ),
    click.option("--on-inconclusive", type=click.Choice(POLICY_WORDS), help="Take an inconclusive verdict as this."),
    click.option("--on-no-data", type=click.Choice(POLICY_WORDS), help="Take missing data as this."),
    click.option(
        "--exit-code", "codes", multiple=True, metavar="OUTCOME=N", help="Another exit code, as fail=1 (repeatable)."
    ),
)


def policies(on_error: str | None, on_inconclusive: str | None, on_no_data: str | None, codes: Any) -> Policies:
    return Policies(on_error or "", on_inconclusive or "", on_no_data or "", read_codes(codes))


def read_codes(texts: tuple[str, ...]) -> dict[Outcome, int]:
    """`fail=1,inconclusive=0`, in one or several options."""
    codes: dict[Outcome, int] = {}
    for part in ",".join(texts).split(",") if texts else ():
        name, _, number = part.partition("=")
        outcome = CHOOSABLE.get(name.strip().lower())
        if outcome is None or not (number.strip().isascii() and number.strip().isdigit()) or int(number) > 255:
            names = ", ".join(CHOOSABLE)
            raise click.BadParameter(f"{part!r} is not OUTCOME=0..255 with one of {names}", param_hint="--exit-code")
        codes[outcome] = int(number)
    return codes


def read_duration(text: str, option: str = "--timeout") -> float:
    """Seconds, more than 0."""
    from analysis_service.core.timing import parse_duration

    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise click.BadParameter(f"{error}; want 90s or 1h30m", param_hint=option) from None
    if seconds <= 0:
        raise click.BadParameter(f"{text!r} is no time to wait; want 90s or 1h30m", param_hint=option)
    return seconds


def connect(server: str | None, ca: Path | None, plaintext: bool, reconnect_seconds: float = 30.0) -> "Client":
    if not server:
        raise click.UsageError("Which service? Give --server HOST:PORT or set TIDEGATE_SERVER.")
    from analysis_service.cli.client import Client

    return Client(server, ca, plaintext=plaintext, reconnect_seconds=reconnect_seconds)
