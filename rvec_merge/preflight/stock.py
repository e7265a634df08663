"""The same checks for a stock mergekit run, made while it plans."""

import atexit
import gc
import logging
from collections.abc import Hashable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.weight_files import INDEX
from rvec_merge.errors import CheckpointError, Notice, OutputError
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.mergekit_plugin.stock_run import CHECKS, StockRun
from rvec_merge.plan.inputs import is_compact, local_folder
from rvec_merge.preflight import same_model, tensors
from rvec_merge.recipe.read import Recipe, parse_recipe, recipe_of

LOG = logging.getLogger(__name__)
_checked: list[Any] = []  # the configuration of the run checked last; mergekit asks per tensor


def check(input_ids: Sequence[Hashable], target: Hashable, run: StockRun | None) -> None:
    """Check the run where it is seen, else the inputs alone; see ``stock_run.CHECKS``.

    Raises:
        RvecError: what is found.
    """
    if run is not None:
        check_stock_run(run)
    else:
        check_checkpoints(input_ids, target)


CHECKS.append(check)


def check_stock_run(run: StockRun) -> None:
    """Check the recipe behind a stock mergekit run, its inputs and its output, once per run.

    Warnings are logged.

    Raises:
        RvecError: what ``examine`` finds, an existing output folder aside: mergekit
            writes into it.
    """
    if _checked and _checked[0] is run.config:
        return
    # mergekit's Python functions need no text.
    recipe = recipe_of(_plain(run.config), text="") if run.text is None else parse_recipe(run.text)
    out = Path(run.out_path)
    for model in recipe.config.referenced_models():
        refuse_input_as_output(out, model)
        _refuse_compact(model)
    _examine(recipe, out)
    _checked[:] = [run.config]
    # Looking for garbage in all that mergekit has imported, as the interpreter does when it ends,
    # takes longer than to merge a small model.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def _plain(value: Any) -> Any:
    """mergekit's configuration as the data that it was made of."""
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _examine(recipe: Recipe, out: Path) -> None:
    from rvec_merge.files.atomic import check_space
    from rvec_merge.preflight.run import check_writable, examine

    report = examine(recipe, None, stock=True)
    for notice in (*report.warnings, *_leftovers(out), *_taken_for_hub_ids(recipe)):
        LOG.warning("%s", notice)
    report.raise_errors()
    check_writable(out)
    if report.facts is not None:
        check_space(out, report.facts.output_bytes)


def _leftovers(out: Path) -> list[Notice]:
    """Weights of an earlier run, which a run that shards otherwise leaves beside its own."""
    old = sorted(path.name for path in out.glob("*.safetensors")) if out.is_dir() else []
    if not old:
        return []
    return [
        Notice(
            "The output folder holds weights already.",
            (f"{out}", *old[:3]),
            "Where the new files have other names, loaders may take the old ones: empty it first.",
        )
    ]


def _taken_for_hub_ids(recipe: Recipe) -> list[Notice]:
    """Folders that mergekit's model card asks the Hub about; `rvec merge` spells them as paths."""
    paths = sorted({reference.model.path for reference in recipe.config.referenced_models()})
    taken = [p for p in paths if p[0] not in "/~." and p.count("/") < 2 and Path(p).exists()]
    if not taken:
        return []
    return [
        Notice(
            "mergekit takes these folders for Hub ids when it writes the model card.",
            tuple(taken),
            f"Offline it fails there, after the weights are written: write ./{taken[0]}, or use "
            "`rvec merge`.",
        )
    ]


def _refuse_compact(reference: Any) -> None:
    if is_compact(reference):
        raise CheckpointError(
            "Stock mergekit cannot read a compact vector file.",
            [f"{reference}"],
            "use `rvec merge`, or make a dense one: `rvec extract --format dense`.",
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


def check_checkpoints(input_ids: Sequence[Hashable], target: Hashable) -> None:
    """Check one slice's inputs where no recipe is in sight: mergekit's Python functions.

    Raises:
        RecipeError: one checkpoint stands under two names, or the target is a donor too.
        CheckpointError: an input is not a readable checkpoint, or mergekit would read other weights
            of it than transformers.
        IncompatibleTensorsError: a tensor's shape differs between inputs.
    """
    folders = {i: folder for i in input_ids if (folder := local_folder(i)) is not None}
    seen: dict[Path, Hashable] = {}
    # The target first, so that the clash is told as what it is.
    for reference in sorted(folders, key=lambda i: i != target):
        real = folders[reference].resolve()
        if real in seen:
            role = "target" if seen[real] == target else "donor"
            proof = f"both are {real}"
            raise same_model.clash_error(role, seen[real], "donor", reference, proof)
        seen[real] = reference
    _check_shapes(tuple(folders.items()), target)


@lru_cache(maxsize=32)  # mergekit asks once per slice and tensor
def _check_shapes(folders: tuple[tuple[Hashable, Path], ...], target: Hashable) -> None:
    opened = {
        i: Checkpoint.open(f)
        for i, f in folders
        # A compact vector's index leads to packed bytes, whose shapes say nothing.
        if any(f.glob("model*.safetensors*")) and not (f / VECTOR_FILE).is_file()
    }
    for reference, checkpoint in opened.items():
        first, *others = checkpoint.first_files
        if INDEX in others:
            raise CheckpointError(
                "A folder says twice what its weights are.",
                [f"{reference}", f"mergekit would read {INDEX}, transformers reads {first}"],
                "remove the one that is not meant, or use `rvec merge`.",
            )
    if target not in opened:
        return
    wanted = opened[target].tensors
    for reference, checkpoint in opened.items():
        differing = [
            (name, wanted[name].shape, info.shape)
            for name, info in checkpoint.tensors.items()
            if name in wanted and info.shape != wanted[name].shape
        ]
        if differing:
            raise tensors.shape_error(
                f"target {target}", f"donor {reference}", differing, len(wanted)
            )
