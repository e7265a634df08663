"""A merge's model card: what was merged, how, by which recipe, and what came of it."""

from pathlib import Path

import yaml

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.checkpoint.card import CARD
from rvec_merge.files.marks import RECIPE_FILE
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Place, Reference

_METHOD = "[Reasoning Vector](https://arxiv.org/abs/2509.01363)"


def write_card(recipe: Recipe, name: str, effect: Effect | None, folder: Path) -> None:
    """Write the recipe and the model card, with what the merge did where it was measured."""
    base, models = recipe.config.base_model, recipe.config.referenced_models()
    places = [p for r in models for p in (r.model, r.lora) if p is not None]
    metadata = {
        "base_model": list(dict.fromkeys(place.path for place in places if _on_hub(place))),
        "library_name": "transformers",
        "tags": ["mergekit", "merge"],
    }
    method = _METHOD if recipe.is_reasoning_vector else recipe.config.merge_method
    text = (
        f"---\n{yaml.safe_dump(metadata)}---\n# {name}\n\n"
        "A merge of language models by a [mergekit](https://github.com/arcee-ai/mergekit) recipe."
        f"\n\n## How it was merged\n\nMethod: {method}\n\n"
    )
    text += f"Base model: {_linked(base)}\n\n" if base is not None else ""
    text += "Models:\n\n" + "".join(f"* {_linked(r)}\n" for r in models if r != base)
    text += f"\n```yaml\n{recipe.text.rstrip()}\n```\n"
    if effect is not None:
        text += _told(effect)
    (folder / RECIPE_FILE).write_text(recipe.text, encoding="utf-8")
    (folder / CARD).write_text(text, encoding="utf-8")


def _told(effect: Effect) -> str:
    norm = effect.relative_norm
    relative = "the target is zero" if norm is None else f"{norm:.2e}"
    return (
        "\n## What the merge did\n\n"
        f"- effective scale {effect.effective_scale:.3f} of {effect.scale:.3f}\n"
        f"- share of the vector's elements lost to rounding: {effect.lost:.1%}\n"
        f"- density of the vector: {effect.density:.1%}\n"
        f"- norm of the vector relative to the target's: {relative}\n"
        "\nWritten by rvec-merge; `rvec_merge.json` has the provenance, and `rvec verify` "
        "checks the weights against it.\n"
    )


def _on_hub(place: Place) -> bool:
    """Whether a name that is no folder here can be a repo's."""
    path = place.path
    return path[0] not in "/~." and path.count("/") < 2 and not Path(path).exists()


def _linked(reference: Reference) -> str:
    parts = [part for part in (reference.model, reference.lora) if part is not None]
    return " + ".join(
        f"[{part.path}](https://huggingface.co/{part.path})" if _on_hub(part) else _as_path(part)
        for part in parts
    )


def _as_path(place: Place) -> str:
    """A folder's name, in a form that nobody takes for a repo's."""
    return place.path if place.path[0] in "/~." else f"./{place.path}"
