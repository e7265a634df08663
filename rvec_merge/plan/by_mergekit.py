"""mergekit's own plan of a recipe, as plain data: of slices, modules, and whatever it executes.

Here mergekit's architecture definitions decide what the output holds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rvec_merge.errors import RecipeError, RvecError, said_by, shortened
from rvec_merge.mergekit_plugin.stock_run import own_plan
from rvec_merge.plan.inputs import Input, is_compact
from rvec_merge.plan.tensors import InputTensor, ResolvedTensor
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Place, Reference

if TYPE_CHECKING:
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions


def resolve_by_mergekit(
    recipe: Recipe, models: Mapping[Reference, Input], *, trust_remote_code: bool = False
) -> list[ResolvedTensor]:
    """Resolve slices, filters, gradients and overrides exactly as ``mergekit-yaml`` would.

    Reads configs and weight indices, no weights. mergekit applies an adapter by writing a merged
    model before it plans; that has the tensors of the model without it.

    Args:
        models: the inputs that were seen; empty is the plan while one is missing.

    Raises:
        RecipeError: mergekit cannot plan the recipe, plans nothing, or plans two tensors of one
            name.
    """
    from mergekit.options import MergeOptions

    options = MergeOptions(trust_remote_code=trust_remote_code)
    # Also where nothing can be planned yet: what is here is read by mergekit as it is shown.
    with _showing(models):
        if not set(recipe.config.referenced_models()) <= models.keys():
            return []
        return _complete(_resolved(recipe, options), models)


def layer_counts(recipe: Recipe, trust_remote_code: bool = False) -> dict[str, int]:
    """The settings of the output's config.json that count layers which slices put together.

    Raises:
        RecipeError: transformers refuses a config with so many.
    """
    from mergekit.common import get_config_value
    from mergekit.merge import _model_out_config
    from mergekit.options import MergeOptions

    if not recipe.config.is_sliced:
        return {}
    options = MergeOptions(trust_remote_code=trust_remote_code)
    architecture = architecture_of(recipe.mergekit, options)
    config = _model_out_config(recipe.mergekit, architecture, trust_remote_code)
    try:
        config.to_json_string()
        type(config).from_dict(config.to_dict())
    # mergekit changes the number of layers, and no more. transformers has several errors.
    except Exception as error:
        raise RecipeError(
            "The output's configuration is not valid.",
            [recipe.source, *said_by(error)],
            "keep the number of layers; this architecture lists more about each of them.",
        ) from None
    modules = (module.architecture for module in architecture.modules.values())
    keys = filter(None, (module.num_layers_config_key() for module in modules))
    return {key: get_config_value(config, key) for key in keys}


def _resolved(recipe: Recipe, options: "MergeOptions") -> list[ResolvedTensor]:
    try:
        tensors = _distinct(_planned(recipe, options))
    except RvecError:
        raise
    # mergekit raises whatever comes: RuntimeError, KeyError, pydantic's and transformers' own.
    except Exception as error:
        raise RecipeError(
            "mergekit cannot plan this recipe.",
            [recipe.source, *said_by(error)],
            "correct what it names; `rvec recipes` lists examples.",
        ) from None
    if not tensors:
        raise RecipeError(
            "mergekit's plan of this recipe holds no tensors.",
            [recipe.source, "it infers an architecture from names, and these fit none"],
            "look whether config.json names the class that the weights were saved from "
            "(architectures); if it does, mergekit does not know it: report it there.",
        )
    return tensors


def architecture_of(config: "MergeConfiguration", options: "MergeOptions") -> Any:
    """mergekit's architecture of a recipe's inputs, whether it has a definition or infers one.

    It cannot open a compact vector, and is not shown those.
    """
    from mergekit.architecture import get_architecture_info
    from mergekit.config import InputModelDefinition

    inputs = config.referenced_models()
    shown = [reference for reference in inputs if not is_compact(_ours(reference))]
    if len(shown) < len(inputs):
        models = [InputModelDefinition(model=reference) for reference in shown]
        config = config.model_copy(update={"models": models, "slices": None, "modules": None})
    return get_architecture_info(config, options)


def _planned(recipe: Recipe, options: "MergeOptions") -> list[ResolvedTensor]:
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import _model_out_config
    from mergekit.plan import MergePlanner

    import rvec_merge.mergekit_plugin.method  # noqa: F401  (registers the method, also where autoload is off)

    config = recipe.mergekit.model_copy(deep=True)  # planning rewrites it
    architecture = architecture_of(config, options)
    LoaderCache().setup(options)
    planner = MergePlanner(config, architecture, options, _model_out_config(config, architecture))
    with own_plan():
        planner._plan()  # plan_in_memory() cannot be called in mergekit 0.1.5: its task is abstract
    return [_as_data(weight, task, config.out_dtype) for weight, task in planner._tensors]


def _distinct(tensors: Iterable[ResolvedTensor]) -> list[ResolvedTensor]:
    """One name, one tensor: what several modules of an inferred architecture list is planned once.

    Raises:
        RecipeError: a name is planned twice, and not alike.
    """
    found: dict[str, ResolvedTensor] = {}
    differing: dict[str, str] = {}
    for tensor in tensors:
        first = found.setdefault(tensor.name, tensor)
        if first != tensor:
            differing[tensor.name] = f"{_told(first)}; and {_told(tensor)}"
    if differing:
        raise RecipeError(
            f"{len(differing)} tensors are planned twice, and not alike.",
            shortened([f"{name}: {twice}" for name, twice in differing.items()]),
            "give what two modules or slices share the same sources and parameters.",
        )
    return list(found.values())


def _told(tensor: ResolvedTensor) -> str:
    inputs = ", ".join(f"{wanted.names[0]} of {r}" for r, wanted in tensor.inputs.items())
    return f"scale {tensor.parameters.get('scale')} from {inputs}"


def _as_data(output: Any, task: Any, out_dtype: str | None) -> ResolvedTensor:
    # A recipe's `tokenizer` puts its remapping of the rows between the two.
    gathered = getattr(task.gather_tensors, "gather_tensors", task.gather_tensors)
    inputs = {}
    order = {reference: _ours(reference) for reference in task.model_order}
    for reference, weight in gathered.weight_info.items():
        names = (weight.name, *(weight.aliases or ()), *(weight.tied_names or ()))
        dtype = weight.force_dtype or gathered.dtype
        inputs[reference] = InputTensor(names, dtype, weight.optional)
    parameters = dict(task.parameters.items())
    for reference, ours in order.items():
        for name, value in task.input_parameters[reference].items():
            parameters.setdefault(name, {})[ours] = value
    ordered = {ours: inputs[reference] for reference, ours in order.items()}
    target = _ours(task.base_model or task.model_order[0])
    return ResolvedTensor(output.name, target, ordered, parameters, output.force_dtype or out_dtype)


def _complete(
    resolved: Sequence[ResolvedTensor], models: Mapping[Reference, Input]
) -> list[ResolvedTensor]:
    """The plan with what mergekit fuses or renames on the way: the stored tensors that it reads."""
    made = {reference: _made(model, reference, resolved) for reference, model in models.items()}
    if not any(made.values()):
        return list(resolved)
    return [
        replace(
            tensor,
            inputs={
                r: replace(wanted, parts=tuple(made[r].get(wanted.names[0], ())))
                for r, wanted in tensor.inputs.items()
            },
        )
        for tensor in resolved
    ]


def _made(
    model: Input, reference: Reference, resolved: Sequence[ResolvedTensor]
) -> dict[str, list[str]]:
    """By the name of each tensor that mergekit makes of stored ones, their names."""
    tensors = model.tensors
    inputs = [tensor.inputs[reference] for tensor in resolved if reference in tensor.inputs]
    absent = {wanted.names[0] for wanted in inputs if wanted.find(tensors) is None}
    if not absent:
        return {}
    from mergekit.architecture.conversion import can_convert_checkpoint_keys

    kind = model.config.get("model_type")
    found: dict[str, list[str]] = {}
    for stored, names in _conversions(kind, tensors):
        for name in names & absent:
            found.setdefault(name, []).append(stored)
    return {
        name: sources
        for name, sources in found.items()
        if can_convert_checkpoint_keys(kind, set(sources), name)
    }


def _conversions(kind: str | None, stored: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
    """Every stored name, with the names that transformers' conversions give it or its result."""
    from mergekit.architecture.conversion import _expanded_target_keys
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    transforms = get_checkpoint_conversion_mapping(kind) or () if kind else ()
    for name in stored:
        reached = {name}
        for transform in transforms:
            for known in list(reached):
                renamed, pattern = transform.rename_source_key(known)
                if pattern is not None:
                    reached |= _expanded_target_keys(renamed, transform.target_patterns)
        yield name, reached - {name}


def _ours(reference: "ModelReference") -> Reference:
    places = [(p.path, p.revision) for p in (reference.model, reference.lora) if p is not None]
    return Reference(*(Place(*place) for place in places))


def _theirs(reference: Reference) -> "ModelReference":
    from mergekit.common import ModelPath, ModelReference

    model, lora = (p and ModelPath(**vars(p)) for p in (reference.model, reference.lora))
    return ModelReference(model=model, lora=lora)


@contextmanager
def _showing(models: Mapping[Reference, Input]) -> Iterator[None]:
    """Tell mergekit which tensors there are, and in which files.

    It takes an index where transformers takes the file beside it, asks the Hub again for what the
    cache has, even offline, cannot open a compact vector, maps whole files to see their headers,
    and remembers for the process's life what a folder held when it first looked.
    """
    from mergekit.io.lazy_tensor_loader import LazyTensorLoader, ShardedTensorIndex, ShardInfo
    from mergekit.io.tasks import LoaderCache

    loaders = LoaderCache().loaders
    # A stock run has applied its adapters already; else their weights are yet to be made.
    named = {_theirs(reference): model for reference, model in models.items()}
    guessed = [r for r in named if r.lora is not None and r not in loaders]
    for reference, model in named.items():
        if reference.lora is not None and reference not in guessed:
            continue
        paths = {name: info.path.name for name, info in model.tensors.items()}
        if reference in loaders and loaders[reference].index.tensor_paths == paths:
            continue
        names: dict[str, list[str]] = {}
        for name, file in paths.items():
            names.setdefault(file, []).append(name)
        shards = [ShardInfo(file, names[file]) for file in sorted(names)]
        index = ShardedTensorIndex(str(model.folder), not model.pickled, paths, shards)
        loaders[reference] = LazyTensorLoader(index, LoaderCache().lazy_unpickle)
    try:
        yield
    finally:
        for reference in guessed:
            loaders.pop(reference, None)
