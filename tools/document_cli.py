"""Write docs/cli.md from the commands' own help: ``python -m tools.document_cli``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from rvec_merge.cli import rvec

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
_HEAD = """\
<!-- Written by `python -m tools.document_cli`; do not edit. -->
# The command line

Every command exits with 0 when it did what it was asked, 1 for what you can mend (one message:
what, the facts, the fix), 2 for wrong usage and 130 for an interrupt.

Verbs, options, bundled names and files are completed, once the shell was told:

```bash
eval "$(_RVEC_COMPLETE=bash_source rvec)"   # in ~/.bashrc; zsh: zsh_source in ~/.zshrc
_RVEC_COMPLETE=fish_source rvec | source    # fish: in ~/.config/fish/config.fish
```
"""


def page() -> str:
    """The page as it should be."""
    return "\n".join([_HEAD, *_told(rvec, ["rvec"])])


def _told(command: click.Command, words: list[str]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(words), max_content_width=80)
    context.terminal_width = 80
    heading = f"{'#' * (len(words) + 1)} {' '.join(words)}"
    yield f"{heading}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            if not child.hidden:
                yield from _told(child, [*words, name])


def main(arguments: list[str]) -> None:
    if arguments != ["--check"]:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        raise SystemExit("Stale: docs/cli.md")


if __name__ == "__main__":
    main(sys.argv[1:])
