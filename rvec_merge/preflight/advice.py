"""What need not be wrong, but often is: warnings."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from rvec_merge.arithmetic.dtypes import SIXTEEN_BIT
from rvec_merge.checkpoint.card import read_metadata
from rvec_merge.checkpoint.model_config import effective
from rvec_merge.errors import Notice, shortened
from rvec_merge.files.marks import EXTRACTION_FILE
from rvec_merge.plan.inputs import Input
from rvec_merge.plan.tensors import ResolvedTensor
from rvec_merge.preflight.plan import output_dtype
from rvec_merge.preflight.scales import coefficients, place
from rvec_merge.recipe.config import METHOD, RecipeConfig
from rvec_merge.recipe.reference import Reference


def about_inputs(config: RecipeConfig, models: Mapping[Reference, Input]) -> Iterator[Notice]:
    """Descent and dtypes of the inputs."""
    if config.merge_method == METHOD:
        yield from _descent(list(models.values()))
    rivals = {
        # Pickles beside safetensors are usual: the same weights for older loaders.
        model.name: [name for name in model.first_files if ".safetensors" in name]
        for model in models.values()
    }
    two = [
        f"{name}: {files[0]} is read, {', '.join(files[1:])} is not"
        for name, files in rivals.items()
        if len(files) > 1
    ]
    if two:
        yield Notice(
            "A folder says twice what its weights are.",
            tuple(two),
            "The merge reads what transformers loads; mergekit on its own reads the index. Remove "
            "the one that is not meant.",
        )
    unmarked = [
        model.name
        for model in models.values()
        if model.is_vector and not (model.compact or (model.folder / EXTRACTION_FILE).is_file())
    ]
    if unmarked:
        yield Notice(
            "Nothing says that an input of role: vector is a difference, and not a model.",
            (*unmarked, f"{EXTRACTION_FILE} is not beside it"),
            "A model would be added whole: `rvec check --deep` tells them apart.",
        )
    dtypes = {m.name: _dtypes(m) for m in models.values() if m.tensors and not m.compact}
    if len(set(dtypes.values())) > 1:
        facts = tuple(f"{name}: {', '.join(found)}" for name, found in dtypes.items())
        yield Notice(
            "The inputs' dtypes differ.",
            facts,
            "Each is read as stored and added in float32, or in float64 where one of them is.",
        )
    if config.dtype in ("bfloat16", "float16"):
        wide = [f"{n}: {', '.join(d)}" for n, d in dtypes.items() if {"float32", "float64"} & {*d}]
        if wide:
            yield Notice(
                f"dtype: {config.dtype} rounds wider inputs when they are read.",
                tuple(wide),
                "Leave dtype out and give out_dtype: the merge then rounds once, at the end.",
            )


def about_plan(
    config: RecipeConfig,
    models: Mapping[Reference, Input],
    resolved: Sequence[ResolvedTensor],
) -> Iterator[Notice]:
    """Scales that rounding would eat, and gradients that reach weights outside the layers."""
    if config.merge_method != METHOD:
        return
    scales = sorted({c for tensor in resolved for c in coefficients(tensor).values()})
    stored = [info.dtype for m in models.values() for info in m.tensors.values()]
    written = output_dtype(config, config.out_dtype, stored)
    if config.out_dtype is None:
        yield _no_out_dtype(config, models, f"{written}")
    if moved := sorted(_moved(models[config.target], resolved)):
        yield Notice(
            "Slices put layers where the target's config has layers of another kind.",
            tuple(shortened(moved)),
            "Each is run as its new place says, which is not what it was trained for.",
        )
    rounded = [scale for scale in scales if scale not in (-1.0, 0.0, 1.0)]
    if rounded and written in SIXTEEN_BIT:
        listed = ", ".join(f"{scale:.3g}" for scale in rounded)
        if len(rounded) > 6:
            listed = f"{len(rounded)} values, {rounded[0]:.3g} to {rounded[-1]:.3g}"
        yield Notice(
            f"A scale other than 1 in {written}: rounding may swallow much of the update.",
            (f"scale × weight: {listed}",),
            "A training step is about one bfloat16 step of its weight; half of it often rounds to "
            "nothing. Write out_dtype: float32.",
        )
    for where, parameters, _ in config.parameter_blocks():
        for name, setting in parameters.items():
            if _is_gradient(setting):
                yield Notice(
                    f"A gradient of {name}: weights outside the layers take its first value.",
                    (f"{where}: {name}", *_outside(resolved, name)),
                    "Filters instead of a gradient give them a value of their own.",
                )


def _moved(target: Input, resolved: Sequence[ResolvedTensor]) -> set[str]:
    """Layers whose kind (sliding or full attention, say) changes with their place."""
    places = {
        (place(wanted.names[0])[0], place(tensor.name)[0])
        for tensor in resolved
        for wanted in tensor.inputs.values()
        if wanted.names[0] != tensor.name
    }
    moved = [(old, new) for old, new in places if old != new and (old + new).isdigit()]
    kinds = effective(target.config).get("layer_types") or [] if moved else []
    return {
        f"layer {old} ({kinds[int(old)]}) becomes layer {new} ({kinds[int(new)]})"
        for old, new in moved
        if max(int(old), int(new)) < len(kinds) and kinds[int(old)] != kinds[int(new)]
    }


def _no_out_dtype(config: RecipeConfig, models: Mapping[Reference, Input], written: str) -> Notice:
    target = models[config.target].config
    stated = config.dtype or target.get("dtype") or target.get("torch_dtype")
    as_it_says = f"its config.json will say {stated}, in which transformers loads it by default"
    return Notice(
        f"The recipe gives no out_dtype: the merge is written in {written}.",
        () if stated == written else (as_it_says,),
        "Write out_dtype: bfloat16 for scale 1, float32 for any other.",
    )


def stated_bases(model: Input) -> set[str]:
    """What a model says it was made from: in its card's ``base_model``, or ``_name_or_path``."""
    found = [model.config.get("_name_or_path")]
    given = read_metadata(model.folder).get("base_model")
    found += given if isinstance(given, list) else [given]
    return {one for one in found if isinstance(one, str) and one}


def _descent(models: list[Input]) -> Iterator[Notice]:
    donors = [m for m in models if m.label != "target" and not m.is_vector]
    if len(donors) == len(models) or not donors:
        return
    lines = {
        m.name: {str(m.reference).casefold(), *map(str.casefold, stated_bases(m))} for m in models
    }
    target = models[0]
    apart = [m for m in donors if not lines[m.name] & lines[target.name]]
    # A grpo donor made from the sft donor has its descent from there.
    linked = set(chain.from_iterable(lines[m.name] for m in donors if m not in apart))
    apart = [m for m in apart if not lines[m.name] & linked]
    if apart:
        facts = [f"{m.name}: {', '.join(sorted(stated_bases(m))) or 'states none'}" for m in models]
        yield Notice(
            "Donors and target share no stated base model.",
            tuple(facts),
            "A vector carries over between models of one initialisation; `rvec check --deep` "
            "compares the weights.",
        )


def _dtypes(model: Input) -> tuple[str, ...]:
    found = {f"{info.dtype}" for info in model.tensors.values()}
    return tuple(sorted(found))


def _is_gradient(setting: Any) -> bool:
    if isinstance(setting, list):
        if all(hasattr(entry, "value") for entry in setting):
            return any(_is_gradient(entry.value) for entry in setting)
        return len(set(setting)) > 1
    return hasattr(setting, "value") and _is_gradient(setting.value)


def _outside(resolved: Sequence[ResolvedTensor], name: str) -> list[str]:
    """What a parameter is outside the layers; of a scale or a weight, scale × weight."""
    lines = []
    for tensor in resolved:
        row, _ = place(tensor.name)
        if not row.isdigit():
            product = name in ("scale", "weight")
            got = coefficients(tensor).values() if product else [tensor.parameters[name]]
            lines.append(f"{row}: {', '.join(map(_plain, got))}")
    return lines


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"
