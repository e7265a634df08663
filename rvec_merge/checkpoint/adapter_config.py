"""``adapter_config.json``: what a LoRA adapter's tensors mean, as PEFT writes it.

Read without ``peft``, whose import takes longer than a merge, and which leaves out, with a warning,
what a newer version has written.
"""

import re
from collections.abc import Iterator, Mapping
from math import sqrt
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError
from rvec_merge.files.explained import explained
from rvec_merge.files.marks import ADAPTER_FILE

# How it was trained or is to be loaded; nothing that its tensors' meaning depends on.
SILENT = frozenset(
    {"task_type", "auto_mapping", "peft_version", "inference_mode", "runtime_config"}
    | {"target_modules", "exclude_modules", "modules_to_save", "layers_to_transform"}
    | {"layers_pattern", "lora_dropout", "bias", "lora_bias", "ensure_weight_tying"}
    | {"megatron_core", "qalora_group_size", "loftq_config", "eva_config", "corda_config"}
    | {"lora_ga_config", "velora_config"}
)
# What changes what an adapter's tensors mean, in a way that ``B · A · scaling`` is not.
REFUSED = {
    "use_dora": "DoRA, whose magnitudes are no difference",
    "use_qalora": "QA-LoRA, which pools its input",
    "use_bdlora": "block-diagonal factors",
    "arrow_config": "Arrow, which routes between adapters",
    "kasa_config": "KaSA, which changes the base's weights",
    "monteclora_config": "MonteCLoRA, which samples its weights",
    "alora_invocation_tokens": "aLoRA, which is applied to some tokens alone",
    "layer_replication": "layers that the base does not have",
    "trainable_token_indices": "single tokens' embeddings",
    "target_parameters": "parameters that are no layer's weight (target_parameters)",
    "megatron_config": "Megatron's layers",
}
_PLAIN_STARTS = ("gaussian", "orthogonal", "eva", "mica")  # they leave the base as it was
_FIX = "merge it with peft (merge_and_unload) in float32, save that, and name the folder."
# Patterns are strangers' regular expressions: what can take for ever to match is not tried.
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPEATS = re.compile(r"[*+{]|(?<!\()\?")
_MOST_REPEATS = 3

_Rank = Annotated[int, Field(ge=1)]


class LoraSettings(BaseModel):
    """What of the configuration gives the tensors their meaning; PEFT's names and defaults.

    Attributes:
        base_model_name_or_path, revision: the model that was trained.
        r, rank_pattern: the rank, and those of modules whose names match a pattern.
        lora_alpha, alpha_pattern: what the product is multiplied by, times the rank.
        use_rslora: times its root instead.
        fan_in_fan_out: the layers store their weights as (in, out).
        init_lora_weights: what the factors were before training.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    peft_type: str
    base_model_name_or_path: str | None = None
    revision: str | None = None
    r: _Rank = 8
    rank_pattern: dict[str, _Rank] | None = None
    lora_alpha: FiniteFloat = 8
    alpha_pattern: dict[str, FiniteFloat] | None = None
    use_rslora: bool | None = False
    fan_in_fan_out: bool | None = False
    init_lora_weights: bool | str | None = True

    def scale_of(self, module: str) -> tuple[int, float]:
        """A module's rank, and what its product is multiplied by."""
        rank = _matching(self.rank_pattern or {}, module, self.r)
        alpha = _matching(self.alpha_pattern or {}, module, self.lora_alpha)
        return rank, alpha / (sqrt(rank) if self.use_rslora else rank)


def read_settings(root: Path) -> LoraSettings:
    """The configuration of the adapter in a folder.

    Raises:
        CheckpointError: it cannot be read, or is of an adapter that is more than a product.
    """
    path = root / ADAPTER_FILE
    stated = read_json(path)
    kind = stated.get("peft_type")
    if kind != "LORA":
        raise more_than_a_product(root, [f"peft_type: {kind}"])
    try:
        settings = LoraSettings.model_validate(stated)
    except ValidationError as error:
        raise CheckpointError(
            "An adapter's configuration cannot be read.",
            [f"{path}", *explained(error)],
            "save the adapter again with peft.",
        ) from None
    if facts := list(_more(settings)):
        raise more_than_a_product(root, facts)
    return settings


def more_than_a_product(root: Path, facts: list[str]) -> CheckpointError:
    """The error for an adapter that ``scaling · B · A`` does not say."""
    headline = "An adapter is more than a product that is added to weights."
    return CheckpointError(headline, [f"{root}", *facts], _FIX)


def _more(settings: LoraSettings) -> Iterator[str]:
    for key, value in (settings.model_extra or {}).items():
        if value and key not in SILENT:
            yield f"{key}: {REFUSED.get(key, 'not known to this version of rvec-merge')}"
    start = settings.init_lora_weights
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        yield f"init_lora_weights: {start} changes the base's weights before training"
    for pattern in (*(settings.rank_pattern or {}), *(settings.alpha_pattern or {})):
        if not _is_quick(pattern):
            yield f"a pattern that is not tried: {pattern[:60]}"


def _matching(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """What the first pattern that matches the end of a module's name gives, as in PEFT."""
    matching = (v for p, v in patterns.items() if re.match(rf"(.*\.)?({p})$", module))
    return next(matching, default)


def _is_quick(pattern: str) -> bool:
    """Whether a pattern is one, and cannot take longer than a name is long, some times over."""
    if _REPEATED_GROUP.search(pattern) or len(_REPEATS.findall(pattern)) > _MOST_REPEATS:
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
