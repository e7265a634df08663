"""The command ``rvec``: one small file per verb, imported when the verb is used."""

import io
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import click

from rvec_merge.cli.echo import echo
from rvec_merge.cli.unknown import explained
from rvec_merge.declare import Misuse
from rvec_merge.errors import RvecError, system_error
from rvec_merge.version import __version__

# The order is the order of `rvec --help`: look, merge, measure, share.
VERBS = (
    "doctor",
    "demo",
    "recipes",
    "plans",
    "merge",
    "verify",
    "check",
    "tasks",
    "perturb",
    "compare",
    "experiment",
    "report",
    "card",
    "extract",
    "inspect",
    "push",
    "pull",
)


class _Formatter(click.HelpFormatter):
    """On a narrow terminal the names of options leave half of it to what they do."""

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        super().write_dl(list(rows), min(col_max, self.width // 2), col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


class _Verbs(click.Group):
    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"rvec_merge.cli.{cmd_name}").command
        command.context_class = _Context
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb. What the system refuses it anywhere (disk full, read-only) is one error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has left; click ends in silence
        except click.NoSuchOption as error:
            raise explained(error) from None
        except Misuse as error:
            raise click.UsageError(str(error)) from None
        except OSError as error:
            raise system_error(error) from error


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rvec")
def rvec() -> None:
    """Reasoning vectors for mergekit: merge them, measure them, share them."""


def main() -> None:
    """Run ``rvec``. Exit 1 for what the user can fix, 2 for wrong usage, 130 for an interrupt."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show θ must not end it
    try:
        code = rvec(standalone_mode=False)
    except RvecError as error:
        echo(error, err=True)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        echo("Interrupted.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
