"""Configs that must agree for a weight difference to mean the same in every model."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rvec_merge.errors import (
    CheckpointError,
    Finding,
    IncompatibleTensorsError,
    Notice,
    RecipeError,
    RvecError,
)
from rvec_merge.preflight.models import Model
from rvec_merge.recipe.config import RecipeConfig
from rvec_merge.recipe.reference import Reference

# fmt: off
# A difference here makes another function of the same weights, or other weights.
DECISIVE = frozenset(
    {
        "architectures", "model_type", "hidden_size", "n_embd", "d_model", "intermediate_size",
        "n_inner", "ffn_dim", "num_hidden_layers", "n_layer", "num_layers", "num_attention_heads",
        "n_head", "num_key_value_heads", "head_dim", "hidden_act", "hidden_activation",
        "activation_function", "mlp_act", "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon",
        "norm_eps", "norm_epsilon", "rope_parameters", "rope_theta", "rope_scaling",
        "rotary_emb_base", "partial_rotary_factor", "rotary_pct", "attention_bias", "mlp_bias",
        "qkv_bias", "num_experts", "num_local_experts", "num_experts_per_tok", "n_routed_experts",
        "moe_intermediate_size", "shared_expert_intermediate_size",
    }
)
# Of those, what leaves every weight in its place: people change it on purpose.
ALLOWABLE = frozenset(
    {
        "rope_parameters", "rope_theta", "rope_scaling", "rotary_emb_base", "partial_rotary_factor",
        "rotary_pct", "hidden_act", "hidden_activation", "activation_function", "mlp_act",
        "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon",
        "num_experts_per_tok",
    }
)
_LAYER_KEYS = frozenset({"num_hidden_layers", "n_layer", "num_layers"})
# Says nothing about how weights act: bookkeeping, training settings, tokens, derived lists.
_IGNORED = frozenset(
    {
        "_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache",
        "initializer_range", "auto_map", "vocab_size", "tie_word_embeddings", "layer_types",
        "max_window_layers", "output_attentions", "output_hidden_states", "return_dict",
        "problem_type", "id2label", "label2id", "chunk_size_feed_forward", "is_encoder_decoder",
        "pretraining_tp", "_attn_implementation", "attn_implementation",
        "use_mrope", "unsloth_version", "unsloth_fixed", "gradient_checkpointing",
    }
)
# fmt: on
_LAYER_LIMIT = 10_000  # transformers makes a list of them, whatever a config says


def check(
    config: RecipeConfig,
    models: Mapping[Reference, Model],
    trust_remote_code: bool = False,
    allowed: Collection[str] = (),
) -> Iterator[Finding]:
    """Configs that are absent, in need of remote code, or unlike the target's.

    Args:
        allowed: settings in which they may differ; see ``ALLOWABLE``.
    """
    if unknown := sorted({*allowed} - ALLOWABLE):
        yield RecipeError(
            f"Configs cannot be allowed to differ in {', '.join(unknown)}.",
            [f"settings that leave the weights in place: {', '.join(sorted(ALLOWABLE))}"],
            "correct --allow, or a plan's allow.",
        )
    settings = {}
    for reference, model in models.items():
        findings = list(_alone(model, trust_remote_code))
        yield from findings
        if not any(isinstance(finding, CheckpointError) for finding in findings):
            settings[reference] = effective(model.config)
    if len(settings) > 1:
        first, *others = settings
        for other in others:
            yield from _against(
                models[first],
                models[other],
                settings[first],
                settings[other],
                _sliced(config),
                allowed,
            )


def compare(first: Model, other: Model, allowed: Collection[str] = ()) -> Iterator[Finding]:
    """Settings in which two models differ; see ``check``."""
    settings = effective(first.config), effective(other.config)
    yield from _against(first, other, *settings, False, allowed)


def effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with its architecture's defaults filled in and its nested parts flattened.

    Two spellings of one setting (``rope_theta`` and ``rope_parameters``) come out alike, as far
    as transformers reads them alike.
    """
    from transformers import CONFIG_MAPPING

    known = config.get("model_type")
    if not _unbelievable(config) and known in CONFIG_MAPPING:
        try:
            full = CONFIG_MAPPING[known].from_dict(dict(config)).to_dict()
        except Exception:  # foreign code over foreign text; the plain text still tells a lot
            full = dict(config)
        config = {**full, "architectures": config.get("architectures")}
    return dict(_flat(config, ""))


def tied(config: Mapping[str, Any]) -> bool | None:
    """Whether the config ties the output embeddings to the input's; None if it does not say."""
    value = effective(config).get("tie_word_embeddings")
    return value if isinstance(value, bool) else None


def _flat(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if key == "quantization_config":
            continue  # told by itself
        if isinstance(value, dict) and key.endswith("_config"):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _unbelievable(config: Mapping[str, Any]) -> list[str]:
    """Settings that transformers must not be given: it would fail, or take all memory."""
    lines = []
    for key, value in _flat(config, ""):
        last = key.rpartition(".")[2]
        vast = isinstance(value, int | float) and value > _LAYER_LIMIT
        if (vast and last.endswith(("_layer", "_layers"))) or (
            last == "model_type" and not isinstance(value, str | None)
        ):
            lines.append(f"{key}: {json.dumps(value)[:80]}")
    return lines


def _sliced(config: RecipeConfig) -> bool:
    modules = (config.modules or {}).values()
    return bool(config.slices) or any(module.slices for module in modules)


def _alone(model: Model, trust_remote_code: bool) -> Iterator[Finding]:
    from transformers import CONFIG_MAPPING

    if not model.config:
        yield CheckpointError(
            "A model has no config.json.",
            [model.name, f"{model.folder}"],
            "fetch the whole checkpoint; mergekit plans from its config.",
        )
        return
    if unbelievable := _unbelievable(model.config):
        yield CheckpointError(
            "A config.json says what no model has.",
            [model.name, *unbelievable[:5]],
            "correct its config.json, or fetch the checkpoint again.",
        )
        return
    native = model.config.get("model_type") in CONFIG_MAPPING
    if model.config.get("auto_map") and not trust_remote_code and not native:
        yield CheckpointError(
            "A model needs code of its own to be read.",
            [model.name, f"auto_map: {json.dumps(model.config['auto_map'])[:200]}"],
            "read that code; if you trust it: rvec merge --trust-remote-code.",
        )
    elif model.config.get("auto_map") and not trust_remote_code:
        yield Notice(
            "A model names code of its own; it is not run.",
            (model.name,),
            "transformers knows this architecture, and its own class is used.",
        )
    elif not native and not trust_remote_code:
        yield CheckpointError(
            "transformers does not know a model's type.",
            [model.name, f"model_type: {model.config.get('model_type')!r}"],
            "correct its config.json, or upgrade transformers.",
        )
    architectures = model.config.get("architectures")
    if not isinstance(architectures, list) or len(architectures) != 1:
        yield CheckpointError(
            "A config does not name one architecture.",
            [model.name, f"architectures: {architectures!r}"],
            "correct its config.json.",
        )


def _against(
    first: Model,
    other: Model,
    a: dict[str, Any],
    b: dict[str, Any],
    sliced: bool,
    allowed: Collection[str],
) -> Iterator[Finding]:
    decisive: dict[str, str] = {}
    minor: list[str] = []
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key), b.get(key)
        last = key.rpartition(".")[2]
        if left == right or _ignored(last, a, b) or (sliced and last in _LAYER_KEYS):
            continue
        line = f"{key}: {first.label} {_text(left)}, {other.label} {_text(right)}"
        if last in DECISIVE and last not in allowed:
            decisive[key] = line
        else:
            minor.append(line)
    if decisive:
        yield _decisive(first, other, decisive)
    if minor:
        yield Notice(
            f"The configs of {other.label} and {first.label} differ.",
            tuple(minor),
            "The merge takes the target's config.",
        )


def _decisive(first: Model, other: Model, differing: Mapping[str, str]) -> RvecError:
    keys = sorted({key.rpartition(".")[2] for key in differing})
    facts = [first.name, other.name, *differing.values()]
    if not ALLOWABLE.issuperset(keys):
        return IncompatibleTensorsError(
            f"{other.label} and {first.label} are not the same architecture.",
            facts,
            "use a target and donors of one architecture, from one base model.",
        )
    return IncompatibleTensorsError(
        f"{other.label} and {first.label} make another use of their weights.",
        facts,
        "use a target and donors from one base model; where the difference is meant (a longer "
        f"context, say), rvec merge {' '.join(f'--allow {key}' for key in keys)} takes the "
        f"target's (in a plan: allow: [{', '.join(keys)}]).",
    )


def _ignored(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if key in _IGNORED or key.endswith(("_token_id", "_dropout", "dropout_rate", "_pdrop")):
        return True
    # A window that is switched off on both sides; its width means nothing.
    off = a.get("use_sliding_window") is False and b.get("use_sliding_window") is False
    return off and key == "sliding_window"


def _text(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, default=str)
