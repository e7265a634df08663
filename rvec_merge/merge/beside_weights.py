"""What lies beside the weights: the target's own files, byte for byte, the recipe, and a card."""

import fnmatch
import json
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import yaml

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.checkpoint.card import CARD
from rvec_merge.checkpoint.model_config import with_dtype, with_settings
from rvec_merge.checkpoint.weight_files import NAMED
from rvec_merge.errors import RecipeError
from rvec_merge.files.marks import RECIPE_FILE
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.preflight.prompts import chat_template
from rvec_merge.recipe.read import Recipe
from rvec_merge.recipe.reference import Place, Reference

TEMPLATE = "chat_template.jinja"
_TEMPLATES = "additional_chat_templates"
_PROCESSORS = ("*processor_config.json", "normalizer.json")
_TOKENIZER = (
    "tokenizer*.json",
    "*.model",
    "*.model.v*",
    "*.tiktoken",
    "tekken.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template.*",
    "generation_config.json",
)
# What mergekit leaves behind on some of its paths, although transformers reads it.
_MENDED = ("generation_config.json", TEMPLATE)
_METHOD = "[Reasoning Vector](https://arxiv.org/abs/2509.01363)"


def write_other_files(recipe: Recipe, plan: MergePlan, settings: Settings, folder: Path) -> None:
    """Write the target's config, tokenizer, templates, generation config and processors.

    Raises:
        RecipeError: the recipe's chat template is none.
    """
    target = plan.inputs[recipe.config.target].folder
    _write_config(recipe, plan, target, folder)
    patterns = (*_PROCESSORS, *(_TOKENIZER if settings.copy_tokenizer else ()))
    for path in sorted(target.iterdir()):
        if path.is_file() and any(fnmatch.fnmatchcase(path.name, p) for p in patterns):
            shutil.copyfile(path, folder / path.name)
    if not settings.copy_tokenizer:
        return
    if (target / _TEMPLATES).is_dir():
        (folder / _TEMPLATES).mkdir()
        for path in sorted((target / _TEMPLATES).glob("*.jinja")):
            shutil.copyfile(path, folder / _TEMPLATES / path.name)
    if recipe.config.chat_template:
        _write_template(_template(recipe, plan), folder)


def mend(target: Path, folder: Path) -> None:
    """Copy the target's generation config and chat template where mergekit lost them."""
    for name in _MENDED:
        if name == TEMPLATE and chat_template(folder) is not None:
            continue
        if (target / name).is_file() and not (folder / name).exists():
            shutil.copyfile(target / name, folder / name)


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


def _write_config(recipe: Recipe, plan: MergePlan, target: Path, folder: Path) -> None:
    text = (target / "config.json").read_text(encoding="utf-8")
    dtype = recipe.config.out_dtype or recipe.config.dtype
    if dtype is not None:
        text = with_dtype(text, dtype)
    # The weights are written under the name that is looked for where the config gives none.
    gone: dict[str, None] = {NAMED: None}
    if json.loads(text).get("quantization_config") is not None:
        gone["quantization_config"] = None  # and what is written is not quantized
    text = with_settings(text, {**plan.config, **gone})
    (folder / "config.json").write_text(text, encoding="utf-8")


def _template(recipe: Recipe, plan: MergePlan) -> str:
    """The chat template that a recipe asks for: in full, by the name of mergekit's, or ``auto``."""
    asked = recipe.config.chat_template or ""
    if asked == "auto":
        found = [chat_template(model.folder) for model in plan.inputs.values()]
        texts = Counter(text.strip() for text in found if isinstance(text, str))
        return texts.most_common(1)[0][0] if texts else ""
    spec = find_spec("mergekit")
    folders = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    known = {p.stem: p for f in folders for p in (f / "_data/chat_templates").glob("*.jinja")}
    if asked in known:
        return known[asked].read_text(encoding="utf-8")
    if "{" not in asked:
        raise RecipeError(
            "The recipe's chat_template is none.",
            [recipe.source, f"chat_template: {asked[:60]!r}", f"known: {', '.join(sorted(known))}"],
            "write auto, one of these names, or a template in Jinja.",
        )
    return asked


def _write_template(text: str, folder: Path) -> None:
    """As a file of its own, which counts before one among the tokenizer's settings."""
    if not text:
        return
    (folder / TEMPLATE).write_text(text, encoding="utf-8")
    path = folder / "tokenizer_config.json"
    if path.is_file() and "chat_template" in json.loads(path.read_text(encoding="utf-8")):
        settings = with_settings(path.read_text(encoding="utf-8"), {"chat_template": None})
        path.write_text(settings, encoding="utf-8")


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
