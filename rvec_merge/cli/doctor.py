"""``rvec doctor``: what is installed, and whether mergekit sees the method."""

from typing import TYPE_CHECKING, Any

import click

from rvec_merge.cli.echo import echo_json
from rvec_merge.cli.options import json_option

if TYPE_CHECKING:
    from rvec_merge.doctor import Examination


@click.command(short_help="Check the installation, devices, the Hub and caches.")
@json_option
def command(as_json: bool) -> None:
    """Check versions, registration with mergekit, devices, the Hub and caches.

    Also says which ways out are shut off to programs that models write (HumanEval).
    Exits with 1 when stock mergekit does not see the merge method, and says why.
    """
    from rvec_merge.doctor import examine

    found = examine()
    if as_json:
        echo_json(_as_dict(found))
    else:
        _print(found)
    if found.problem is not None:
        raise found.problem


def _print(found: "Examination") -> None:
    from rich.table import Table

    from rvec_merge.cli.console import PlainConsole

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, version in found.versions.items():
        table.add_row(name, version)
    table.add_row("method", "not visible to mergekit" if found.problem else "visible to mergekit")
    for device in found.devices:
        table.add_row("device", device)
    for name, value in found.flags.items():
        table.add_row("flag", f"{name}={value}")
    state = {True: "reachable", False: "not reachable", None: "offline"}[found.hub.reachable]
    table.add_row("Hub", f"{found.hub.endpoint}: {state} ({found.hub.answer})")
    table.add_row("Hub token", "present" if found.hub.token else "none")
    for cache in found.caches:
        table.add_row(f"{cache.name} cache", f"{cache.path} ({cache.free / 2**30:.0f} GiB free)")
    for name, closed in found.doors.items():
        table.add_row("generated code", f"{name}: {'shut off' if closed else 'NOT shut off'}")
    for notice in found.notices:
        table.add_row("note", notice)
    PlainConsole().print(table)


def _as_dict(found: "Examination") -> dict[str, Any]:
    problem = found.problem
    return {
        "versions": found.versions,
        "visible": problem is None,
        "problem": problem
        and {"headline": problem.headline, "facts": list(problem.facts), "fix": problem.fix},
        "notices": list(found.notices),
        "devices": list(found.devices),
        "flags": found.flags,
        "hub": vars(found.hub),
        "caches": [{**vars(cache), "path": str(cache.path)} for cache in found.caches],
        "doors": found.doors,
    }
