"""One declaration of an option serves Python and the command line."""

from dataclasses import dataclass
from typing import Annotated

from rvec_merge.declare import Option, declared


@dataclass
class Settings:
    size: Annotated[int, Option("How large.", least=1)] = 3
    plain: str = "no option"
    name: Annotated[str | None, Option("What to call it.", ("--as",))] = None


def with_options(folder: str, limit: Annotated[int | None, Option("So many.")] = None) -> None:
    """A function's parameters are declared alike."""


def test_fields_and_parameters_are_found_with_their_types_and_defaults() -> None:
    found = {option.name: (option.type, option.default) for option in declared(Settings)}
    assert found == {"size": (int, 3), "name": (str | None, None)}
    assert [(o.name, o.option.help) for o in declared(with_options)] == [("limit", "So many.")]
