"""What cannot be streamed: mergekit's own executor, writing into our temporary folder."""

import tempfile
from pathlib import Path

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.tensor import dtype_named
from rvec_merge.checkpoint.written import Wanted
from rvec_merge.errors import RecipeError, RvecError, said_by
from rvec_merge.merge.settings import Settings
from rvec_merge.mergekit_plugin.stock_run import own_plan
from rvec_merge.plan.by_names import is_tied_head
from rvec_merge.preflight import PreflightReport
from rvec_merge.recipe.read import Recipe


def run_mergekit(recipe: Recipe, settings: Settings, folder: Path) -> Checkpoint:
    """Run the recipe with mergekit, into ``folder``; returns what it wrote, all but a card.

    Raises:
        RecipeError: mergekit cannot do it.
        RvecError: the method refuses it.
    """
    from mergekit.merge import run_merge

    from rvec_merge.hub.recipes import localized
    from rvec_merge.hub.snapshot import no_downloads

    # Merged adapters are as large as models; here they do not outlive the run, however it ends.
    with tempfile.TemporaryDirectory(prefix=".adapters-", dir=folder) as adapters:
        changed = {"lora_merge_cache": adapters, "write_model_card": False}
        options = settings.mergekit().model_copy(update=changed)
        try:
            config = localized(recipe).mergekit.model_copy(deep=True)
            # What it names on the Hub is here, was compared, and is not checked again.
            with no_downloads(), own_plan():
                run_merge(config, str(folder), options=options, config_source=recipe.text)
        except RvecError:
            raise
        # mergekit raises whatever comes: RuntimeError, KeyError, torch's and transformers' own.
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # about a file or the disk; the Hub's have no number
            raise RecipeError(
                "mergekit could not execute this recipe.",
                [recipe.source, *said_by(error)],
                "correct what it names, or report it to mergekit.",
            ) from error
    return Checkpoint.open(folder)


def wanted(recipe: Recipe, report: PreflightReport, written: Checkpoint) -> dict[str, Wanted]:
    """What mergekit's executor must have written: its plan, as far as it was seen beforehand."""
    if not report.tensors:
        return {name: Wanted() for name in written.tensors}
    models = {model.reference: model for model in report.models}
    aligned = recipe.config.asks_for_tokenizer
    found = {}
    for tensor in report.tensors:
        target = models.get(tensor.target)
        if target and tensor.name not in written.tensors and is_tied_head(tensor.name, target):
            continue  # mergekit's adapters are merged without the copy that some inputs store
        inputs = tensor.inputs.get(tensor.target)
        stored = inputs.find(target.tensors) if target and inputs else None
        shape = stored.shape if stored and recipe.is_reasoning_vector and not aligned else None
        found[tensor.name] = Wanted(shape, dtype_named(tensor.out_dtype))
    target = models.get(report.tensors[0].target)
    for name in written.tensors:  # and one that trains tied embeddings gets a copy of its own
        if target and name not in found and is_tied_head(name, target):
            found[name] = Wanted()
    return found
