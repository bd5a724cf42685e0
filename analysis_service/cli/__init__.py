"""The `tidegate` command. One file per command, imported when it is used: `--help` must cost next to nothing."""

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "check": "Run templates to their verdict; the exit code says it.",
    "lint": "Say everything that is wrong, or doubtful, about templates.",
    "render": "Show the exact queries that templates ask.",
    "query": "Take metrics once: raw answer, value, and which part of the condition was false.",
    "test": "Unit tests of templates on series that are written down, in tables, or recorded.",
    "backtest": "Run templates over past data as if live: false alarms, and what would have been found.",
    "serve": "Run the analysis service.",
    "runs": "List, show, watch, terminate and delete runs of a service.",
    "report": "A run as an HTML page, as pictures, or as a record to keep.",
    "templates": "List, show, store and delete templates of a service.",
    "import": "Turn another system's configuration (Kayenta's) into a template.",
    "schema": "Print the JSON Schema of templates, for editors.",
    "completion": "Print the shell's completion script.",
}

# where a command's file is not called as the command
_MODULES = {"report": "report_command", "import": "import_command"}

EXIT_CODES = """\b
Exit codes:
  0 pass   2 usage, configuration or lint   10 fail   11 inconclusive
  12 no data   20 provider or store error   21 timed out   1 a bug in tidegate
  130, 143 ended by a signal"""

BUG, UNHEARD, INTERRUPTED = 1, 20, 130


class Lazy(click.Group):
    """Knows its commands' names and help; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"analysis_service.cli.{_MODULES.get(cmd_name, cmd_name)}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            from difflib import get_close_matches

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """From the table: importing every command for its help would be felt at each key press."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Lazy, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate", prog_name="tidegate", message="%(prog)s %(version)s")
def root() -> None:
    """Progressive-delivery analysis: Argo AnalysisTemplates run to a verdict that says why."""


def main() -> None:
    """The console script. What escapes is a bug: exit code 1, one sentence, no traceback unless asked for."""
    if "_TIDEGATE_COMPLETE" in os.environ:
        root.main(prog_name="tidegate")
    code = UNHEARD
    try:
        code = run(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a failure still finds an exit code
    except BrokenPipeError:
        _silence()  # who reads us has gone: never a pass, the verdict may not have been read
        code = code or UNHEARD
    except OSError as error:
        _silence()
        click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
        code = code or UNHEARD
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """One command line; its exit code. Raises OSError only for what cannot be written to standard output."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no ✔ still gets its verdict
    try:
        with root.make_context("tidegate", arguments) as context:
            root.invoke(context)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.ClickException as error:
        error.show()
        return max(2, error.exit_code)  # click's own 1 would read as a bug
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:  # the edge of the process
        if os.environ.get("TIDEGATE_TRACEBACK"):
            import traceback

            traceback.print_exc()
        click.echo(
            f"tidegate met a bug of its own ({type(error).__name__}). Please report it with the output of the same "
            "command under TIDEGATE_TRACEBACK=1.",
            err=True,
        )
        return BUG
    return 0


def _silence() -> None:
    """Nothing more goes to standard output: the interpreter would try, and complain, on its way out."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
