"""The `tidegate` command. One file per command, imported when it is used: `--help` must cost next to nothing."""

import importlib
import sys

import click

COMMANDS = {
    "check": "Run templates to their verdict; the exit code says it.",
    "lint": "Say everything that is wrong, or doubtful, about templates.",
    "render": "Show the exact queries that a template asks.",
    "query": "Take one metric once: raw answer, value, and which part of the condition was false.",
    "serve": "Run the analysis service.",
    "runs": "List, show, watch, terminate and delete runs of a service.",
    "templates": "List, show, store and delete templates of a service.",
    "schema": "Print the JSON Schema of templates, for editors.",
    "completion": "Print the shell's completion script.",
}

EXIT_CODES = """\b
Exit codes:
  0 pass   2 usage, configuration or lint   10 fail   11 inconclusive
  12 no data   20 provider or store error   21 timed out   1 a bug in tidegate
  130, 143 ended by a signal"""


class Lazy(click.Group):
    """Knows its commands' names and help; imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"analysis_service.cli.{cmd_name}")
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


@click.group(cls=Lazy, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tidegate", prog_name="tidegate", message="%(prog)s %(version)s")
def root() -> None:
    """Progressive-delivery analysis: Argo AnalysisTemplates run to a verdict that says why."""


def main() -> None:
    """The console script. What escapes is a bug: exit code 1, one sentence, no traceback unless asked for."""
    import os

    try:
        code = root.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = max(2, error.exit_code)  # click's own 1 would read as a bug
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except BrokenPipeError:
        # Who reads us has gone. Never a pass: the verdict may not have been written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 20
    except Exception as error:  # the edge of the process
        if os.environ.get("TIDEGATE_TRACEBACK"):
            raise
        click.echo(
            f"tidegate met a bug of its own ({type(error).__name__}). Please report it with the output of the same "
            "command under TIDEGATE_TRACEBACK=1.",
            err=True,
        )
        code = 1
    sys.exit(code if isinstance(code, int) else 0)
