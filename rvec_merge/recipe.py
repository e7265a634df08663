"""Strict reading of a recipe: a mergekit YAML in which nothing is silently ignored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvec_merge.errors import RecipeError, why
from rvec_merge.pairs import Donor, Pair, form_pairs
from rvec_merge.problems import Problems
from rvec_merge.safe_yaml import load_yaml

if TYPE_CHECKING:
    from mergekit.config import MergeConfiguration
    from mergekit.merge_methods.base import MergeMethodSpec

METHOD = "reasoning_vector"
# Per-donor parameters that mean nothing as a default for every donor.
_DONOR_ONLY = frozenset({"role", "pair", "weight"})
_DTYPES = ("bfloat16", "float16", "float32", "float64")
_MODELS = frozenset({"base_model", "model", "tokenizer_source", "source"})  # keys that name one


@dataclass(frozen=True)
class Recipe:
    """A recipe as read: its text, where it came from, and mergekit's view of it.

    Attributes:
        text: the YAML, byte for byte.
        source: the file's path, or another name for errors.
        config: mergekit's validated configuration.
    """

    text: str
    source: str
    config: "MergeConfiguration"

    @property
    def is_reasoning_vector(self) -> bool:
        """Whether the method is ours; other methods are mergekit's business."""
        return bool(self.config.merge_method == METHOD)

    def pairs(self) -> list[list[Pair]]:
        """The pairs of each slice (one entry for a recipe without slices)."""
        return [
            form_pairs(donors, where=where, target=self.config.base_model)
            for where, donors in declared_donors(self.config)
        ]


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
    data = load_yaml(text, source=source)
    if not isinstance(data, dict):
        raise RecipeError(
            "The recipe is not a mapping.", [source], "start from one of `rvec recipes`."
        )
    _check_keys(data, source)
    from mergekit.config import MergeConfiguration
    from pydantic import ValidationError

    try:
        config = MergeConfiguration.model_validate(_with_folders(data))
    except ValidationError as error:
        facts = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        raise RecipeError(
            "mergekit does not accept the recipe.", [source, *facts], "correct these keys."
        ) from None
    except RuntimeError as error:  # mergekit's own cross-field checks
        raise RecipeError(
            "mergekit does not accept the recipe.", [source, str(error)], "correct these keys."
        ) from None
    check_config(config)
    return Recipe(text, source, config)


def _with_folders(data: Any, key: object = None) -> Any:
    """The recipe with folders whose names hold ``@`` or ``+`` spelled so that mergekit sees them.

    It would take what follows for a revision or an adapter.
    """
    if isinstance(data, dict):
        return {name: _with_folders(value, name) for name, value in data.items()}
    if isinstance(data, list):
        return [_with_folders(item) for item in data]
    if isinstance(data, str) and key in _MODELS and {"@", "+"} & {*data} and Path(data).is_dir():
        return {"model": {"path": data}}
    return data


def check_config(config: "MergeConfiguration") -> None:
    """Refuse parameters that mergekit would ignore, and donors that do not form pairs.

    Raises:
        RecipeError: see ``read_recipe``.
    """
    from mergekit import merge_methods

    known = {method.spec.name: method.spec for method in merge_methods.registered_methods()}
    if config.merge_method not in known:
        raise RecipeError(
            f"Unknown merge method {config.merge_method!r}.",
            [_hint(config.merge_method, known)],
            f"write merge_method: {METHOD}.",
        )
    problems = Problems()
    for where, parameters, per_donor in parameter_blocks(config):
        for name in parameters or {}:
            with problems.noted():
                _check_parameter(known[config.merge_method], name, where, per_donor)
    for key in ("dtype", "out_dtype"):
        with problems.noted():
            _check_dtype(key, getattr(config, key))
    for where, _, inputs in _input_lists(config):
        for entry in inputs:
            if where.endswith("]"):
                with problems.noted():
                    _check_layer_range(where, entry)
    if config.merge_method == METHOD:
        with problems.noted():
            _check_donors(config)
    problems.raise_all()


def _check_dtype(key: str, value: str | None) -> None:
    # config.json takes the word as it stands; of torch.float32 transformers makes nothing.
    if value is not None and value not in _DTYPES:
        raise RecipeError(f"Unknown {key} {value!r}.", [_hint(value, _DTYPES)], f"correct {key}.")


def _check_layer_range(where: str, entry: Any) -> None:
    start, end = entry.layer_range
    if not 0 <= start < end:
        raise RecipeError(
            f"A layer_range of {where} holds no layers.",
            [f"{entry.model}: layer_range: [{start}, {end}]"],
            "write the first layer, from 0, and the layer after the last.",
        )


def _check_donors(config: "MergeConfiguration") -> None:
    if config.base_model is None:
        raise RecipeError(
            "The recipe names no target.",
            ["base_model is missing"],
            "add base_model: the model that receives the vector.",
        )
    for where, target, inputs in _input_lists(config):
        if where.endswith("]") and all(entry.model != target for entry in inputs):
            raise RecipeError(
                f"The target is not among the sources of {where}.",
                [f"target: {target}"],
                "add it there, with the layer_range that receives the vector.",
            )
    for where, donors in declared_donors(config):
        form_pairs(donors, where=where, target=config.base_model)


def declared_donors(config: "MergeConfiguration") -> Iterator[tuple[str, list[Donor]]]:
    """Each slice's donors as declared, with the name errors give the slice ('' if there is one)."""
    for where, target, inputs in _input_lists(config):
        donors = []
        for entry in inputs:
            given = entry.parameters or {}
            if entry.model == target and given.get("role") != "sft":
                _refuse_target_role(entry)
                continue
            weight = given.get("weight")
            donors.append(
                Donor(
                    entry.model,
                    given.get("role"),
                    str(given.get("pair", "default")),
                    # A filtered weight or a gradient has no one value; it is read per tensor.
                    weight if weight is None or isinstance(weight, int | float) else 1.0,
                )
            )
        yield where, donors


def _refuse_target_role(entry: Any) -> None:
    if entry.parameters:
        raise RecipeError(
            "The target is listed as a donor.",
            [f"{entry.model}: {dict(entry.parameters)}"],
            "a vector is the difference of two donors: name them under models, and the model "
            "that receives it under base_model alone.",
        )


def _input_lists(config: "MergeConfiguration") -> Iterator[tuple[str, Any, list[Any]]]:
    """(name, target, inputs) of everything that lists inputs."""
    blocks = [("", config), *((f"modules.{n}", m) for n, m in (config.modules or {}).items())]
    for where, block in blocks:
        if block.models:
            yield where, config.base_model, block.models
        for index, piece in enumerate(block.slices or []):
            label = f"{where}.slices[{index}]".lstrip(".")
            yield label, piece.base_model or config.base_model, piece.sources


def parameter_blocks(config: "MergeConfiguration") -> Iterator[tuple[str, Any, bool]]:
    """(name, parameters, whether it belongs to one donor) of everything that takes parameters."""
    yield "parameters", config.parameters, False
    for name, module in (config.modules or {}).items():
        yield f"modules.{name}.parameters", module.parameters, False
    pieces = [("slices", config.slices)]
    pieces += [(f"modules.{n}.slices", m.slices) for n, m in (config.modules or {}).items()]
    for name, slices in pieces:
        for index, piece in enumerate(slices or []):
            yield f"{name}[{index}].parameters", piece.parameters, False
    for _, _, inputs in _input_lists(config):
        for entry in inputs:
            yield f"{entry.model} parameters", entry.parameters, True


def _check_parameter(spec: "MergeMethodSpec", name: str, where: str, per_donor: bool) -> None:
    per_input = {p.name for p in spec.input_parameters}
    shared = {p.name for p in spec.shared_parameters}
    if name not in per_input | shared:
        raise RecipeError(
            f"Unknown parameter {name!r}.",
            [where, _hint(name, per_input | shared)],
            "correct the name; mergekit ignores what it does not know.",
        )
    if per_donor and name in shared:
        raise RecipeError(
            f"Parameter {name!r} stands at a donor, where it has no effect.",
            [where],
            "move it to the recipe's (or the slice's) parameters.",
        )
    if not per_donor and spec.name == METHOD and name in _DONOR_ONLY:
        raise RecipeError(
            f"Parameter {name!r} belongs to a donor.",
            [where],
            f"move it to a donor's own parameters: {{{name}: ...}}.",
        )


def _check_keys(data: Mapping[str, Any], source: str) -> None:
    """Refuse keys that mergekit's models do not have; they would be dropped without a word."""
    from mergekit import config as mk
    from mergekit.tokenizer.config import TokenizerConfig

    children = {
        "models": mk.InputModelDefinition,
        "slices": mk.OutputSliceDefinition,
        "sources": mk.InputSliceDefinition,
        "modules": mk.OutputModuleDefinition,
        "tokenizer": TokenizerConfig,
    }

    problems = Problems()

    def check(key: Any, model: Any, where: str) -> None:
        if key not in model.model_fields:
            raise RecipeError(
                f"Unknown key {key!r} in the recipe.",
                [f"{source}{where}", _hint(str(key), model.model_fields)],
                "correct the key; mergekit ignores what it does not know.",
            )

    def walk(value: Any, model: Any, where: str) -> None:
        if not isinstance(value, dict):
            return  # pydantic says better what type it should be
        for key, child in value.items():
            with problems.noted():
                check(key, model, where)
            if key not in children or key not in model.model_fields:
                continue
            named = child.items() if key == "modules" and isinstance(child, dict) else None
            items = named or (enumerate(child) if isinstance(child, list) else [("", child)])
            for label, item in items:
                walk(item, children[key], f"{where} {key}[{label}]".replace("[]", ""))

    walk(data, mk.MergeConfiguration, "")
    problems.raise_all()


def _hint(word: str, known: Any) -> str:
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
