"""What cannot be streamed: mergekit's own executor, writing into our temporary folder."""

import tempfile
from pathlib import Path

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.errors import RecipeError, RvecError, said_by
from rvec_merge.merge.settings import Settings
from rvec_merge.mergekit_plugin.stock_run import own_plan
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
