"""Strict reading of a recipe: a mergekit YAML in which nothing is silently ignored."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvec_merge.errors import RecipeError, why
from rvec_merge.files.explained import explained
from rvec_merge.recipe.config import METHOD, RecipeConfig, declared_donors
from rvec_merge.recipe.pairs import Pair, form_pairs
from rvec_merge.recipe.reference import Reference, placed
from rvec_merge.recipe.strict import check_config, check_keys
from rvec_merge.recipe.yaml import Document, compose

if TYPE_CHECKING:
    from mergekit.config import MergeConfiguration

_MODELS = frozenset({"base_model", "model", "tokenizer_source", "source"})  # keys that name one
_WORDS = frozenset({"union", "base"})  # that stand for a model, where a tokenizer is named


@dataclass(frozen=True)
class Recipe:
    """A recipe as read: its text, where it came from, and what it says.

    Attributes:
        text: the YAML, byte for byte.
        source: the file's path, or another name for errors.
        config: what it says.
        data: the same as plain data, for mergekit to read where it does the work.
        document: the text's places, so that a name can be written anew without reading it again.
    """

    text: str
    source: str
    config: RecipeConfig
    data: Mapping[str, Any] = field(repr=False)
    document: Document | None = field(default=None, repr=False, compare=False)

    @property
    def is_reasoning_vector(self) -> bool:
        """Whether the method is ours; other methods are mergekit's business."""
        return self.config.merge_method == METHOD

    @cached_property
    def mergekit(self) -> "MergeConfiguration":
        """mergekit's own view, for what it plans or executes.

        Raises:
            RecipeError: mergekit does not accept the recipe.
        """
        from mergekit.config import MergeConfiguration
        from pydantic import ValidationError

        try:
            return MergeConfiguration.model_validate(self.data)
        except (ValidationError, RuntimeError) as error:
            said = explained(error) if isinstance(error, ValidationError) else [str(error)]
            raise _unacceptable("mergekit does not accept the recipe.", self.source, said) from None

    def pairs(self) -> list[list[Pair]]:
        """The pairs of each slice (one entry for a recipe without slices)."""
        return [
            form_pairs(donors, where=where, target=self.config.base_model)
            for where, donors in declared_donors(self.config)
        ]

    def named_models(self) -> list[str]:
        """Every model, adapter and tokenizer's model that is named, as it is written."""
        references = [Reference.read(value) for value in _references(self.data)]
        parts = [part for r in sorted(references, key=str) for part in (r.model, r.lora) if part]
        return list(dict.fromkeys(map(str, parts)))

    def renamed(self, changed: Mapping[str, str]) -> "Recipe":
        """The recipe with other models' names, in the text too, and everything else as it was."""

        def new(name: str) -> str:
            return "+".join(changed.get(part, part) for part in name.split("+"))

        document = self.document or compose(self.text, source=self.source)
        text = document.rewritten(_MODELS, new)
        data = _named(self.data, lambda value: new(value) if isinstance(value, str) else value)
        return Recipe(text, self.source, RecipeConfig.model_validate(data), data)


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe file.

    Raises:
        RecipeError: the file is missing or no YAML; a key is unknown, misspelt or misplaced at
            any level; a role, pair, scale or weight is wrong.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            "The recipe cannot be read.", [f"{path}", why(error)], "correct the path."
        ) from None
    return parse_recipe(text, source=str(path))


def parse_recipe(text: str, *, source: str = "recipe") -> Recipe:
    """Check a recipe's text; see ``read_recipe``."""
    document = compose(text, source=source)
    return recipe_of(document.data, text=text, source=source, document=document)


def recipe_of(
    data: Any, *, text: str, source: str = "recipe", document: Document | None = None
) -> Recipe:
    """Check a recipe given as data; see ``read_recipe``."""
    from pydantic import ValidationError

    if not isinstance(data, dict):
        raise RecipeError(
            "The recipe is not a mapping.", [source], "start from one of `rvec recipes`."
        )
    check_keys(data, source)
    data = _named(data, placed)
    try:
        config = RecipeConfig.model_validate(data)
    except ValidationError as error:
        raise _unacceptable("The recipe cannot be understood.", source, explained(error)) from None
    check_config(config)
    recipe = Recipe(text, source, config, data, document)
    if not recipe.is_reasoning_vector or config.models is None or config.tokenizer is not None:
        recipe.mergekit  # noqa: B018  (who plans or executes it has rules of its own)
    return recipe


def _named(data: Any, change: Callable[[Any], Any], key: object = None) -> Any:
    """The data with every model's name changed."""
    if key in _MODELS:
        return change(data)
    if isinstance(data, dict):
        return {name: _named(value, change, name) for name, value in data.items()}
    return [_named(item, change) for item in data] if isinstance(data, list) else data


def _references(data: Any, key: object = None) -> Iterator[Any]:
    if key in _MODELS and not isinstance(data, str) and "kind" in (data or ()):
        yield from _references(dict(data))  # the row of one token of a model
    elif key in _MODELS:
        if data is not None and data not in (_WORDS if key not in {"model", "base_model"} else ()):
            yield data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _references(value, name)
    elif isinstance(data, list):
        for item in data:
            yield from _references(item)


def _unacceptable(headline: str, source: str, said: list[str]) -> RecipeError:
    return RecipeError(headline, [source, *said], "correct these keys.")
