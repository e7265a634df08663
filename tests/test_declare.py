"""One declaration of an option serves Python and the command line."""

from dataclasses import dataclass
from typing import Annotated

import pytest

from rvec_merge.declare import Option, declared, sorted_into


@dataclass
class Settings:
    size: Annotated[int, Option("How large.", least=1)] = 3
    plain: str = "no option"
    name: Annotated[str | None, Option("What to call it.", ("--as",))] = None


@dataclass
class Where:
    device: str = "cpu"


def with_options(folder: str, limit: Annotated[int | None, Option("So many.")] = None) -> None:
    """A function's parameters are declared alike."""


def test_fields_and_parameters_are_found_with_their_types_and_defaults() -> None:
    found = {option.name: (option.type, option.default) for option in declared(Settings)}
    assert found == {"size": (int, 3), "name": (str | None, None)}
    assert [(o.name, o.option.help) for o in declared(with_options)] == [("limit", "So many.")]


def test_each_option_reaches_its_class() -> None:
    assert sorted_into("merge", {"size": 4}, Where, Settings) == [Where(), Settings(4)]


def test_a_misspelt_option_is_told_its_neighbour_and_an_unknown_one_all_there_are() -> None:
    with pytest.raises(TypeError, match="no option 'siz'; did you mean 'size'"):
        sorted_into("merge", {"siz": 4}, Where, Settings)
    with pytest.raises(TypeError, match="there are device, size, plain, name"):
        sorted_into("merge", {"zzz": 4}, Where, Settings)
