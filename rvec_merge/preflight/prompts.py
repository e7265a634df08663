"""Donors that are prompted otherwise than the target: a score under its prompts is not theirs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import Notice, RvecError
from rvec_merge.plan.inputs import Input
from rvec_merge.recipe.config import METHOD, RecipeConfig
from rvec_merge.recipe.reference import Reference

HEADLINE = "Donors and target are not prompted alike."
_SHOWN = 60  # characters of a value
# Of tokenizer_config.json, what changes the tokens of a prompt; the vocabulary is compared apart.
_TOKENIZER = (
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
    "legacy",
    "split_special_tokens",
)
_STAMPS = {"transformers_version", "_from_model_config"}
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def check(config: RecipeConfig, models: Mapping[Reference, Input]) -> Iterator[Notice]:
    """Tokenizers, chat templates and generation configs of donors that differ from the target's."""
    lines = differences(models) if config.merge_method == METHOD else []
    if lines:
        yield Notice(
            HEADLINE,
            tuple(lines),
            "The merge takes the target's, and `rvec experiment` evaluates donors with them too; "
            "donors: own_prompts in its plan evaluates each with its own.",
        )


def differences(models: Mapping[Reference, Input]) -> list[str]:
    """What differs, in a line each: ``grpo: generation_config.temperature 0.6, target (none)``."""
    target = next((m for m in models.values() if m.label == "target"), None)
    if target is None:
        return []
    wanted = _prompting(target)
    lines = []
    for donor in models.values():
        if donor is target or donor.is_vector:
            continue
        found = _prompting(donor)
        for name in sorted(wanted.keys() | found.keys()):
            theirs, ours = found.get(name), wanted.get(name)
            if theirs != ours:
                both = name == "chat template" and theirs and ours
                end = "another" if both else f"{_text(name, theirs)}, target {_text(name, ours)}"
                lines.append(f"{donor.label}: {name} {end}")
    return lines


def _prompting(model: Input) -> dict[str, Any]:
    """What decides how a model is prompted, beside its vocabulary; what is unset is left out."""
    settings = _read(model.folder / "tokenizer_config.json")
    generation = _read(model.folder / "generation_config.json")
    if generation is None:  # transformers then takes these from the model's config
        generation = {name: model.config.get(name) for name in _IDS}
    found = {
        f"tokenizer_config.{name}": _content((settings or {}).get(name)) for name in _TOKENIZER
    }
    found |= {
        f"generation_config.{name}": value
        for name, value in generation.items()
        if name not in _STAMPS
    }
    found["chat template"] = chat_template(model.folder)
    return {name: value for name, value in found.items() if value not in (None, False)}


def chat_template(folder: Path) -> Any:
    """The chat template that transformers takes: a file of its own first."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    template = (_read(folder / "tokenizer_config.json") or {}).get("chat_template")
    if isinstance(template, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        return named.get("default")
    return template


def _content(token: Any) -> Any:
    """A token's text; older files describe it by a mapping."""
    return token.get("content") if isinstance(token, dict) else token


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path) if path.is_file() else None
    except RvecError:
        return {"(unreadable)": True}


def _text(name: str, value: Any) -> str:
    if value is None:
        return "(none)"
    text = f"of {len(value)} characters" if name == "chat template" else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
