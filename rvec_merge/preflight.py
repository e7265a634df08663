"""What can be refused before a weight is read: from references, headers and configs alone."""

import logging
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path

from rvec_merge.checkpoint import Checkpoint
from rvec_merge.errors import (
    CheckpointError,
    IncompatibleTensorsError,
    OutputError,
    RecipeError,
)
from rvec_merge.planning import StockRun
from rvec_merge.recipe import check_config, parse_recipe

COMPACT_MARK = "rvec_vector.json"


def check_stock_run(run: StockRun) -> None:
    """Check the recipe behind a stock mergekit run, and that its output is none of its inputs.

    Raises:
        RecipeError: what ``rvec_merge.recipe`` refuses.
        OutputError: the output folder is, or lies in, an input.
    """
    _check_recipe(run.text, run.config.out_dtype) if run.text else check_config(run.config)
    for model in run.config.referenced_models():
        refuse_input_as_output(Path(run.out_path), model)


@lru_cache(maxsize=8)  # mergekit asks once per slice and tensor
def _check_recipe(text: str, out_dtype: str | None) -> None:
    parse_recipe(text)
    if out_dtype is None:
        logging.getLogger(__name__).warning(
            "The recipe gives no out_dtype: the merge is written in float32."
        )


def refuse_input_as_output(out: Path, reference: Hashable) -> None:
    """Refuse an output folder that is an input, or lies inside one.

    Raises:
        OutputError: it does.
    """
    folder = local_folder(reference)
    if folder is None:
        return
    real = out.resolve()
    if real == folder.resolve() or folder.resolve() in real.parents:
        raise OutputError(
            "The output folder is one of the inputs.",
            [f"output: {out}", f"input:  {reference}"],
            "write to a new folder.",
        )


def check_inputs(
    input_ids: Sequence[Hashable], target: Hashable, *, vocabularies_aligned: bool = False
) -> None:
    """Check a slice's inputs as far as their local folders show.

    Hub references that are not folders are left to mergekit, which has not fetched them when it
    calls this for the first time.

    Args:
        vocabularies_aligned: the recipe's ``tokenizer`` makes the vocabulary rows agree, so that
            differing numbers of rows are no error.

    Raises:
        RecipeError: one checkpoint stands under two names, or the target is a donor too.
        CheckpointError: an input is a compact vector file, or is not a readable checkpoint.
        IncompatibleTensorsError: a tensor's shape differs between inputs.
    """
    folders = {i: folder for i in input_ids if (folder := local_folder(i)) is not None}
    _check_spellings(folders, target)
    _check_folders(tuple(folders.items()), target, vocabularies_aligned)


def local_folder(reference: Hashable) -> Path | None:
    """The folder behind a mergekit ``ModelReference`` (or a path); None for a Hub id or a LoRA."""
    if getattr(reference, "lora", None) is not None:
        return None
    model = getattr(reference, "model", None)
    path = Path(str(getattr(model, "path", reference)))
    return path if path.is_dir() else None


def _check_spellings(folders: dict[Hashable, Path], target: Hashable) -> None:
    seen: dict[Path, Hashable] = {}
    # The target first, so that the clash is told as what it is.
    for reference in sorted(folders, key=lambda i: i != target):
        real = folders[reference].resolve()
        if real not in seen:
            seen[real] = reference
            continue
        facts = [str(seen[real]), str(reference), f"both are {real}"]
        if seen[real] == target:
            raise RecipeError(
                "The target is listed as a donor.",
                facts,
                "a vector is the difference of two donors: name the grpo and sft donors under "
                "models, and the model that receives it under base_model alone.",
            )
        raise RecipeError(
            "One checkpoint is listed under two names.",
            facts,
            "name each donor once; a checkpoint minus itself is no vector.",
        )


@lru_cache(maxsize=32)
def _check_folders(
    folders: tuple[tuple[Hashable, Path], ...], target: Hashable, vocabularies_aligned: bool
) -> None:
    checkpoints = {}
    for reference, folder in folders:
        if (folder / COMPACT_MARK).is_file():
            raise CheckpointError(
                "Stock mergekit cannot read a compact vector file.",
                [f"{reference}"],
                "use `rvec merge`, or make a dense one: `rvec extract --format dense`.",
            )
        if any(folder.glob("*.safetensors")):
            checkpoints[reference] = Checkpoint.open(folder)
    if target in checkpoints:
        _check_shapes(checkpoints, target, vocabularies_aligned)


def _check_shapes(
    checkpoints: dict[Hashable, Checkpoint], target: Hashable, vocabularies_aligned: bool
) -> None:
    wanted = checkpoints[target].tensors
    for reference, checkpoint in checkpoints.items():
        differing = [
            (name, wanted[name].shape, info.shape)
            for name, info in checkpoint.tensors.items()
            if name in wanted
            and info.shape != wanted[name].shape
            and not (vocabularies_aligned and _differ_in_rows(name, info.shape, wanted[name].shape))
        ]
        if differing:
            raise shape_error(str(target), str(reference), differing, len(wanted))


def shape_error(
    target: str,
    donor: str,
    differing: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]],
    total: int,
) -> IncompatibleTensorsError:
    """The error that lists tensors whose shape differs, and explains padded vocabularies."""
    width = max(len(name) for name, _, _ in differing[:5])
    facts = [f"target: {target}", f"donor:  {donor}"]
    facts += [f"{name:{width}}  target {a}  donor {b}" for name, a, b in differing[:5]]
    if len(differing) > 5:
        facts.append(f"and {len(differing) - 5} more")
    rows_only = all(_differ_in_rows(name, a, b) for name, a, b in differing)
    fix = "use donors and a target of one architecture and size."
    if rows_only:
        fix = (
            "the vocabularies are padded differently; align them with the recipe's "
            "tokenizer: {source: base}, or pick donors made from one base model."
        )
    return IncompatibleTensorsError(
        f"Target and donor disagree on {len(differing)} of {total} tensors.", facts, fix
    )


def _differ_in_rows(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether only the vocabulary's size differs."""
    vocabulary = "embed" in name or "lm_head" in name
    return vocabulary and len(a) == len(b) == 2 and a[1] == b[1]
