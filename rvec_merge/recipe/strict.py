"""What in a recipe would be ignored, or cannot be meant: keys, parameters, layers, donors."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel

from rvec_merge.errors import Problems, RecipeError
from rvec_merge.recipe.config import (
    METHOD,
    Entry,
    Module,
    RecipeConfig,
    Slice,
    Source,
    Tokenizer,
    declared_donors,
)
from rvec_merge.recipe.pairs import form_pairs
from rvec_merge.recipe.parameters import PARAMETERS

_DTYPES = ("bfloat16", "float16", "float32", "float64")
_CHILDREN: dict[str, type[BaseModel]] = {
    "models": Entry,
    "slices": Slice,
    "sources": Source,
    "modules": Module,
    "tokenizer": Tokenizer,
}


def check_keys(data: Mapping[str, Any], source: str) -> None:
    """Refuse keys that mean nothing; mergekit drops them without a word.

    Raises:
        RecipeError: with all of them.
    """
    problems = Problems()

    def check(key: Any, model: type[BaseModel], where: str) -> None:
        if key not in model.model_fields:
            raise RecipeError(
                f"Unknown key {key!r} in the recipe.",
                [f"{source}{where}", _hint(str(key), model.model_fields)],
                "correct the key; mergekit ignores what it does not know.",
            )

    def walk(value: Any, model: type[BaseModel], where: str) -> None:
        if not isinstance(value, dict):
            return  # what type it should be, the config itself says
        for key, child in value.items():
            with problems.noted():
                check(key, model, where)
            if key not in _CHILDREN or key not in model.model_fields:
                continue
            named = child.items() if key == "modules" and isinstance(child, dict) else None
            items = named or (enumerate(child) if isinstance(child, list) else [("", child)])
            for label, item in items:
                walk(item, _CHILDREN[key], f"{where} {key}[{label}]".replace("[]", ""))

    walk(data, RecipeConfig, "")
    problems.raise_all()


def check_config(config: RecipeConfig) -> None:
    """Refuse parameters that mergekit would ignore, and donors that do not form pairs.

    Raises:
        RecipeError: see ``read_recipe``.
    """
    ours = config.merge_method == METHOD
    known = _parameters(config.merge_method)
    problems = Problems()
    for where, parameters, per_donor in config.parameter_blocks():
        for name in parameters:
            with problems.noted():
                _check_parameter(known, name, where, per_donor, ours)
    for key in ("dtype", "out_dtype"):
        with problems.noted():
            _check_dtype(key, getattr(config, key))
    for where, _, inputs in config.input_lists():
        for entry in inputs:
            if isinstance(entry, Source):
                with problems.noted():
                    _check_layer_range(where, entry)
    with problems.noted():
        if ours:
            _check_donors(config)
    with problems.noted():
        _check_form(config)
    problems.raise_all()


def _parameters(method: str) -> dict[str, bool]:
    """The method's parameters by name, and whether each donor has its own."""
    if method == METHOD:
        return {parameter.name: parameter.per_donor for parameter in PARAMETERS}
    from mergekit import merge_methods

    known = {method.spec.name: method.spec for method in merge_methods.registered_methods()}
    if method not in known:
        raise RecipeError(
            f"Unknown merge method {method!r}.",
            [_hint(method, {*known, METHOD})],
            f"write merge_method: {METHOD}.",
        )
    spec = known[method]
    return {
        **{parameter.name: True for parameter in spec.input_parameters},
        **{parameter.name: False for parameter in spec.shared_parameters},
    }


def _check_parameter(
    known: Mapping[str, bool], name: str, where: str, per_donor: bool, ours: bool
) -> None:
    if name not in known:
        raise RecipeError(
            f"Unknown parameter {name!r}.",
            [where, _hint(name, known)],
            "correct the name; mergekit ignores what it does not know.",
        )
    if per_donor and not known[name]:
        raise RecipeError(
            f"Parameter {name!r} stands at a donor, where it has no effect.",
            [where],
            "move it to the recipe's (or the slice's) parameters.",
        )
    if not per_donor and ours and known[name]:  # as a default for every donor it means nothing
        raise RecipeError(
            f"Parameter {name!r} belongs to a donor.",
            [where],
            f"move it to a donor's own parameters: {{{name}: ...}}.",
        )


def _check_dtype(key: str, value: str | None) -> None:
    # config.json takes the word as it stands; of torch.float32 transformers makes nothing.
    if value is not None and value not in _DTYPES:
        raise RecipeError(f"Unknown {key} {value!r}.", [_hint(value, _DTYPES)], f"correct {key}.")


def _check_layer_range(where: str, entry: Source) -> None:
    start, end = entry.layer_range
    if not 0 <= start < end:
        raise RecipeError(
            f"A layer_range of {where} holds no layers.",
            [f"{entry.model}: layer_range: [{start}, {end}]"],
            "write the first layer, from 0, and the layer after the last.",
        )


def _check_donors(config: RecipeConfig) -> None:
    if config.base_model is None:
        raise RecipeError(
            "The recipe names no target.",
            ["base_model is missing"],
            "add base_model: the model that receives the vector.",
        )
    for where, target, inputs in config.input_lists():
        if where.endswith("]") and all(entry.model != target for entry in inputs):
            raise RecipeError(
                f"The target is not among the sources of {where}.",
                [f"target: {target}"],
                "add it there, with the layer_range that receives the vector.",
            )
    for where, donors in declared_donors(config):
        form_pairs(donors, where=where, target=config.base_model)


def _check_form(config: RecipeConfig) -> None:
    given = [name for name in ("models", "slices", "modules") if getattr(config, name)]
    if len(given) != 1:
        raise RecipeError(
            "A recipe has either models, or slices, or modules.",
            [f"given: {', '.join(given) or 'none of them'}"],
            "list the donors under models.",
        )
    if config.tokenizer is not None and config.tokenizer_source is not None:
        raise RecipeError(
            "The recipe names its tokenizer twice.",
            ["tokenizer", "tokenizer_source"],
            "keep one of the two.",
        )


def _hint(word: str, known: Collection[str]) -> str:
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
