"""Configs that must agree for a weight difference to mean the same in every model."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rvec_merge.checkpoint.model_config import effective, flat, unbelievable
from rvec_merge.errors import (
    CheckpointError,
    Finding,
    IncompatibleTensorsError,
    Notice,
    RecipeError,
    RvecError,
)
from rvec_merge.plan.inputs import Input
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


def check(
    config: RecipeConfig,
    models: Mapping[Reference, Input],
    *,
    by_mergekit: bool,
    trust_remote_code: bool = False,
    allowed: Collection[str] = (),
) -> Iterator[Finding]:
    """Configs that are absent, in need of remote code, or unlike the target's.

    Args:
        by_mergekit: mergekit plans, and needs configs that transformers can read.
        allowed: settings in which they may differ; see ``ALLOWABLE``.
    """
    if unknown := sorted({*allowed} - ALLOWABLE):
        yield RecipeError(
            f"Configs cannot be allowed to differ in {', '.join(unknown)}.",
            [f"settings that leave the weights in place: {', '.join(sorted(ALLOWABLE))}"],
            "correct --allow, or a plan's allow.",
        )
    readable = []
    for model in models.values():
        findings = list(_alone(model, by_mergekit, trust_remote_code))
        yield from findings
        if not any(isinstance(finding, CheckpointError) for finding in findings):
            readable.append(model)
    for other in readable[1:]:
        yield from _against(readable[0], other, config.is_sliced, allowed)


def compare(first: Input, other: Input, allowed: Collection[str] = ()) -> Iterator[Finding]:
    """Settings in which two models differ; see ``check``."""
    yield from _against(first, other, False, allowed)


def _alone(model: Input, by_mergekit: bool, trust_remote_code: bool) -> Iterator[Finding]:
    if not model.config:
        yield CheckpointError(
            "A model has no config.json.",
            [model.name, f"{model.folder}"],
            "fetch the whole checkpoint; a merge needs its config.",
        )
        return
    if lines := unbelievable(model.config):
        yield CheckpointError(
            "A config.json says what no model has.",
            [model.name, *lines[:5]],
            "correct its config.json, or fetch the checkpoint again.",
        )
        return
    if by_mergekit:
        yield from _readable(model, trust_remote_code)
    elif model.config.get("auto_map"):
        yield Notice(
            "A model names code of its own; it is not run.",
            (model.name,),
            "A merge needs none; whoever loads the output does, where transformers does not know "
            "the architecture.",
        )


def _readable(model: Input, trust_remote_code: bool) -> Iterator[Finding]:
    """Whether transformers can read a config, as mergekit needs it to."""
    from transformers import CONFIG_MAPPING

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
    first: Input, other: Input, sliced: bool, allowed: Collection[str]
) -> Iterator[Finding]:
    a, b = dict(flat(first.config)), dict(flat(other.config))
    if not any(_differing(a, b, sliced)):
        return
    # As written they differ; what of it is a default, or another spelling, transformers knows.
    a, b = effective(first.config), effective(other.config)
    decisive: dict[str, str] = {}
    minor: list[str] = []
    for key in _differing(a, b, sliced):
        last = key.rpartition(".")[2]
        line = f"{key}: {first.label} {_text(a.get(key))}, {other.label} {_text(b.get(key))}"
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


def _differing(a: Mapping[str, Any], b: Mapping[str, Any], sliced: bool) -> Iterator[str]:
    for key in sorted(a.keys() | b.keys()):
        last = key.rpartition(".")[2]
        if a.get(key) == b.get(key) or _ignored(last, a, b) or (sliced and last in _LAYER_KEYS):
            continue
        yield key


def _decisive(first: Input, other: Input, differing: Mapping[str, str]) -> RvecError:
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
