"""Any of transformers' configs, shrunk: the structure stays, the sizes are a few tens."""

import re
from collections.abc import Mapping
from typing import Any

LAYERS = 2
# By how a setting is called; the first that fits.
_SIZES: tuple[tuple[str, int], ...] = (
    (r"^(pad|bos|eos|sep|cls|decoder_start)_token_id$", 0),
    (r"^(image|video|audio|vision|boi|eoi|boa|eoa)\w*token\w*(id|index)\w*$", 3),
    (r"vocab_size", 64),
    (r"mm_tokens_per_image", 4),
    (r"nextn_predict_layers|mtp_num|kv_shared_layers", 0),
    (r"^(num_)?(hidden_|encoder_|decoder_|transformer_)?layers?$|^n_layers?$|_layers$|^depth$", 2),
    (r"^first_k_dense", 1),
    (r"(num_key_value|kv)_heads|num_kv_heads|num_global_key", 2),
    (r"^n_head$|num_heads|attention_heads|(linear_num_key|linear_num_value)_heads", 4),
    (r"head_dim|_dim_per_head|kv_channels|^d_head$", 8),
    (r"^mamba_n_heads$", 4),
    (r"lora_rank|lora_dim|dt_rank|time_step_rank", 8),
    (r"n_group$|topk_group|n_groups|num_groups", 1),
    (r"shared_experts$", 1),
    (r"experts_per_tok|top_?k$|num_selected|experts_top", 2),
    (r"experts?$|num_local_experts|experts_per_layer", 4),
    (r"expert_hidden|ffn_dim|intermediate|inner_dim|d_ff|n_inner|mlp_dim", 48),
    (r"hidden_size_per_layer_input", 8),
    (r"hidden_size|d_model|n_embd|embed_dim|embedding_size|^dim$|width|projection_dim", 32),
    (r"max_position|max_seq|max_sequence|n_positions|n_ctx|context_length|max_target", 64),
    (r"state_size|ssm_state|d_state", 8),
    (r"chunk_size", 8),
    (r"sliding_window|attention_window|window_size", 8),
    (r"image_size", 16),
    (r"patch_size|spatial_merge|tile", 4),
    (r"temporal_patch", 2),
)
_KEPT = re.compile(r"hidden_act|dropout|chunk_size_feed_forward|spatial_merge_size|temporal")


# What a config leaves open and its model needs.
_OPEN = {"head_dim": 8, "num_key_value_heads": 4}
_OWN: dict[str, dict[str, Any]] = {
    "gemma4_assistant": {"hidden_size_per_layer_input": 0},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_d_head": 16},
    "glm5_next_text": {"num_key_value_heads": 4},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "molmo2": {"adapter_config": {"vision_feature_layer": [0, 1]}},
    "reformer": {"is_decoder": True},
}


def shrunk(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config, nested ones too, with small sizes."""
    count = settings.get("num_hidden_layers") or settings.get("num_layers")
    found = {name: _small(name, value, count) for name, value in settings.items()}
    found.pop("transformers_version", None)
    found.pop("dtype", None)
    if "quantization_config" in found:
        found["quantization_config"] = None
    found |= {name: value for name, value in _OPEN.items() if name in found and not found[name]}
    for heads, size, expand in (
        ("num_heads", "head_dim", "expand"),
        ("mamba_n_heads", "mamba_d_head", "mamba_expand"),
    ):  # a Mamba layer's heads share its width
        if heads in found and expand in found and found.get("hidden_size"):
            found[size] = int(found["hidden_size"] * found[expand]) // found[heads]
    for name, value in _OWN.get(settings.get("model_type", ""), {}).items():
        found[name] = {**found[name], **value} if isinstance(value, dict) else value
    return found


def _small(name: str, value: Any, count: Any) -> Any:
    if isinstance(value, dict):
        if "mrope_section" in value:
            return {**value, "mrope_section": [1, 1, 2]}
        if "layer" in name and all(str(key).isdigit() for key in value):
            return {key: one for key, one in value.items() if int(key) < LAYERS}
        nested = name.endswith(("config", "_cfg"))
        return shrunk(value) if nested else value
    if isinstance(value, list) and len(value) == count:
        kinds = [v for n, v in enumerate(value) if v not in value[:n]]
        return [_small(name, v, 0) for v in (kinds if len(kinds) > 1 else value)[:LAYERS]]
    if isinstance(value, bool) or not isinstance(value, int) or _KEPT.search(name):
        return value
    return next((min(small, value) for form, small in _SIZES if re.search(form, name)), value)
