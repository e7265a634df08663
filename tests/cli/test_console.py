"""The console's strings are text: neither markup nor what steers a terminal acts."""

import io

from rvec_merge.cli.console import PlainConsole


def test_strings_are_text_also_in_a_table() -> None:
    from rich.table import Table

    console = PlainConsole()
    console.file, console.width = io.StringIO(), 80
    table = Table("name")
    table.add_row("[bold]x[/] \x1b[2J :smile:")
    console.print(table)
    console.print("[red]plain[/]")
    printed = console.file.getvalue()
    for text in ("[bold]x[/] \\u001b[2J :smile:", "[red]plain[/]"):
        assert text in printed
    assert "\x1b" not in printed
