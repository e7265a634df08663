"""What a recipe resolves to, tensor by tensor: mergekit's own plan, as plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rvec_merge.errors import RecipeError, RvecError, said_by, shortened
from rvec_merge.planning import own_plan
from rvec_merge.recipe import Recipe

if TYPE_CHECKING:
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration
    from mergekit.options import MergeOptions


@dataclass(frozen=True)
class InputTensor:
    """Where one input of an output tensor is to be found.

    Attributes:
        names: the names it may have in the checkpoint, in order of preference.
        dtype: the dtype it is rounded to when it is read, as a recipe's ``dtype`` says; or None.
        optional: whether it may be missing.
    """

    names: tuple[str, ...]
    dtype: str | None
    optional: bool


@dataclass(frozen=True)
class ResolvedTensor:
    """One output tensor: its inputs and mergekit's resolved parameters for it.

    Attributes:
        name: the output name.
        target: the reference that is ``base_model`` here.
        inputs: by reference, in the plan's order.
        parameters: shared values, and mappings by reference for per-donor ones; what
            ``method.deltas`` takes.
        out_dtype: what the result is rounded to; None leaves the method's own dtype.
    """

    name: str
    target: "ModelReference"
    inputs: Mapping["ModelReference", InputTensor]
    parameters: Mapping[str, Any]
    out_dtype: str | None


def resolve(recipe: Recipe, options: "MergeOptions | None" = None) -> list[ResolvedTensor]:
    """Resolve slices, filters, gradients and overrides exactly as ``mergekit-yaml`` would.

    Reads configs and weight indices, no weights.

    Raises:
        RecipeError: mergekit cannot plan the recipe, plans nothing, or plans two tensors of one
            name.
    """
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

    from rvec_merge.preflight.models import is_compact

    inputs = config.referenced_models()
    shown = [reference for reference in inputs if not is_compact(reference)]
    if len(shown) < len(inputs):
        models = [InputModelDefinition(model=reference) for reference in shown]
        config = config.model_copy(update={"models": models, "slices": None, "modules": None})
    return get_architecture_info(config, options)


def _planned(recipe: Recipe, options: "MergeOptions | None") -> list[ResolvedTensor]:
    from mergekit.io.tasks import LoaderCache
    from mergekit.merge import _model_out_config
    from mergekit.options import MergeOptions
    from mergekit.plan import MergePlanner

    import rvec_merge.method  # noqa: F401  (registers the method, also where autoload is off)

    options = options or MergeOptions()
    config = recipe.config.model_copy(deep=True)  # planning rewrites it
    architecture = architecture_of(config, options)
    LoaderCache().setup(options)
    planner = MergePlanner(config, architecture, options, _model_out_config(config, architecture))
    with own_plan():
        planner._plan()  # plan_in_memory() cannot be called in mergekit 0.1.5: its task is abstract
    return [_resolved(weight, task, config.out_dtype) for weight, task in planner._tensors]


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


def _resolved(output: Any, task: Any, out_dtype: str | None) -> ResolvedTensor:
    # A recipe's `tokenizer` puts its remapping of the rows between the two.
    gathered = getattr(task.gather_tensors, "gather_tensors", task.gather_tensors)
    inputs = {}
    for reference, weight in gathered.weight_info.items():
        names = (weight.name, *(weight.aliases or ()), *(weight.tied_names or ()))
        dtype = weight.force_dtype or gathered.dtype
        inputs[reference] = InputTensor(names, dtype, weight.optional)
    parameters = dict(task.parameters.items())
    for reference in task.model_order:
        for name, value in task.input_parameters[reference].items():
            parameters.setdefault(name, {})[reference] = value
    ordered = {reference: inputs[reference] for reference in task.model_order}
    return ResolvedTensor(
        output.name, task.base_model, ordered, parameters, output.force_dtype or out_dtype
    )
