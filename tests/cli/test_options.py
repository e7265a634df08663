"""Options of the command line are made of declarations: type, bounds, default and help."""

from dataclasses import dataclass
from typing import Annotated, Literal

import click
import pytest
from click.testing import CliRunner

from rvec_merge.cli.options import Size, options
from rvec_merge.declare import Option


@dataclass
class Settings:
    count: Annotated[int | None, Option("So many.", least=1)] = None
    names: Annotated[tuple[str, ...], Option("Again for more.", ("--name",))] = ()
    both: Annotated[tuple[str, str] | None, Option("Two.")] = None
    kind: Annotated[Literal["a", "b"], Option("Of it.")] = "a"
    drawn: Annotated[bool, Option("The picture.")] = True
    size: Annotated[int, Option("Largest.", size=True)] = 5_000_000_000


@click.command()
@options(Settings)
def command(**given: object) -> None:
    click.echo(repr(Settings(**given)))  # type: ignore[arg-type]


def test_defaults_are_the_classes_own() -> None:
    assert CliRunner().invoke(command).output == f"{Settings()!r}\n"
    told = CliRunner().invoke(command, ["--help"], terminal_width=100).output
    for said in ("[default: a]", "--drawn / --no-drawn", "(5 GB)", "[x>=1]"):
        assert said in told


def test_values_reach_it_by_their_types() -> None:
    given = "--count 2 --name x --name y --both l r --kind b --no-drawn --size 1.5k"
    expected = Settings(2, ("x", "y"), ("l", "r"), "b", drawn=False, size=1500)
    assert CliRunner().invoke(command, given.split()).output == f"{expected!r}\n"


@pytest.mark.parametrize("given", ["--count 0", "--kind c", "--size 0", "--size x", "--both l"])
def test_what_is_no_value_is_wrong_usage(given: str) -> None:
    assert CliRunner().invoke(command, given.split()).exit_code == 2


@pytest.mark.parametrize(("text", "bytes"), [("5GB", 5 * 10**9), ("1.5M", 1_500_000), ("100", 100)])
def test_sizes_as_people_write_them(text: str, bytes: int) -> None:
    assert Size().convert(text, None, None) == bytes
