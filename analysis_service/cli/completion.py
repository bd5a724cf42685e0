"""`tidegate completion`: the shell's completion script."""

import click

from analysis_service.cli.show import put


@click.command("completion", short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a completion script: eval "$(tidegate completion bash)"."""
    from click.shell_completion import get_completion_class

    from analysis_service.cli import root

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    put(kind(root, {}, "tidegate", "_TIDEGATE_COMPLETE").source(), nl=True)
