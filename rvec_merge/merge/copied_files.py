"""What lies beside the weights: configuration, tokenizer, templates, the recipe, the card."""

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.checkpoint.card import CARD
from rvec_merge.errors import RecipeError, said_by
from rvec_merge.files.marks import RECIPE_FILE
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.recipe.read import Recipe

if TYPE_CHECKING:
    from mergekit.common import ModelReference
    from mergekit.config import MergeConfiguration

LOG = logging.getLogger(__name__)
# What mergekit leaves behind on some of its paths, although transformers reads it.
_MENDED = ("generation_config.json", "chat_template.jinja")


def write_other_files(recipe: Recipe, plan: MergePlan, settings: Settings, folder: Path) -> None:
    """Write what mergekit writes beside the weights, by mergekit's own functions.

    Raises:
        RecipeError: transformers refuses the output's configuration.
    """
    from mergekit.common import ModelPath, ModelReference
    from mergekit.merge import _copy_tagalong_files, _copy_tokenizer

    write_config(recipe, plan.config, folder)
    options = settings.mergekit()
    target = target_folder(recipe, plan)
    # By its folder: of a name, mergekit would ask the Hub, which fails offline.
    here = ModelReference(model=ModelPath(path=str(target)))
    config = recipe.config.model_copy(update={"base_model": here})
    if settings.copy_tokenizer:
        try:
            _copy_tokenizer(config, str(folder), options=options)
        except Exception as error:  # transformers raises anything; the weights are what matters
            LOG.warning("The target's tokenizer was not copied: %s", error)
        mend(target, folder)
    _copy_tagalong_files(config, str(folder), list(plan.tagalong), options=options)


def write_config(recipe: Recipe, config: Any, folder: Path) -> None:
    """Write the output's configuration, as ``plan.output_config`` gives it.

    Raises:
        RecipeError: transformers refuses it.
    """
    try:
        config.save_pretrained(folder)
    # Slices: mergekit changes the number of layers, and no more. transformers has several errors.
    except Exception as error:
        raise RecipeError(
            "The output's configuration is not valid.",
            [recipe.source, *said_by(error)],
            "keep the number of layers; this architecture lists more about each of them.",
        ) from None


def mend(target: Path, folder: Path) -> None:
    """Copy the target's generation config and chat template where mergekit lost them."""
    for name in _MENDED:
        has_template = name == "chat_template.jinja" and _states_template(folder)
        if (target / name).is_file() and not (folder / name).exists() and not has_template:
            shutil.copyfile(target / name, folder / name)


def write_card(recipe: Recipe, name: str, effect: Effect | None, folder: Path) -> None:
    """Write the recipe and mergekit's model card, with what the merge did where it was measured."""
    from mergekit.card import generate_card

    text = generate_card(config=_inputs_only(recipe), config_yaml=recipe.text, name=name)
    if effect is not None:
        norm = effect.relative_norm
        relative = "the target is zero" if norm is None else f"{norm:.2e}"
        text += (
            "\n## What the merge did\n\n"
            f"- effective scale {effect.effective_scale:.3f} of {effect.scale:.3f}\n"
            f"- share of the vector's elements lost to rounding: {effect.lost:.1%}\n"
            f"- density of the vector: {effect.density:.1%}\n"
            f"- norm of the vector relative to the target's: {relative}\n"
            "\nWritten by rvec-merge; `rvec_merge.json` has the provenance, and `rvec verify` "
            "checks the weights against it.\n"
        )
    (folder / RECIPE_FILE).write_text(recipe.text, encoding="utf-8")
    (folder / CARD).write_text(text, encoding="utf-8")


def _inputs_only(recipe: Recipe) -> "MergeConfiguration":
    """The recipe's models, with local folders spelled as paths.

    mergekit may take a folder ``a/b`` for a Hub id, and asks the Hub about it; offline, that fails.
    """
    from mergekit.config import InputModelDefinition, MergeConfiguration

    base = recipe.config.base_model
    return MergeConfiguration(
        merge_method=recipe.config.merge_method,
        base_model=None if base is None else _spelled(base),
        models=[
            InputModelDefinition(model=_spelled(reference))
            for reference in recipe.config.referenced_models()
        ],
    )


def _spelled(reference: "ModelReference") -> "ModelReference":
    parts = {
        name: part.model_copy(update={"path": f"./{part.path}"})
        for name, part in (("model", reference.model), ("lora", reference.lora))
        if part is not None and Path(part.path).exists() and not Path(part.path).is_absolute()
    }
    return reference.model_copy(update=parts)


def target_folder(recipe: Recipe, plan: MergePlan) -> Path:
    """Where the target lies."""
    return plan.inputs[recipe.config.base_model].folder


def _states_template(folder: Path) -> bool:
    """Whether the tokenizer's config holds a chat template of its own."""
    path = folder / "tokenizer_config.json"
    return path.is_file() and '"chat_template"' in path.read_text(encoding="utf-8")
