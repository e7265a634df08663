"""What lies beside the weights: the target's own files, byte for byte, but for what is changed."""

import fnmatch
import json
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from rvec_merge.checkpoint.model_config import with_dtype, with_settings
from rvec_merge.checkpoint.weight_files import NAMED
from rvec_merge.errors import RecipeError
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.preflight.prompts import chat_template
from rvec_merge.recipe.read import Recipe

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
