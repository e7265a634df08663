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
    (r"^(num_)?(hidden_|encoder_|decoder_|transformer_)?layers?$|^n_layers?$|_layers$|^depth$", 2),
    (r"nextn_predict_layers|mtp_num", 0),
    (r"^first_k_dense", 1),
    (r"(num_key_value|kv)_heads|num_kv_heads|num_global_key", 2),
    (r"^n_head$|num_heads|attention_heads|(linear_num_key|linear_num_value)_heads", 4),
    (r"head_dim|_dim_per_head|kv_channels", 8),
    (r"lora_rank|lora_dim|dt_rank|time_step_rank", 8),
    (r"n_group$|topk_group|n_groups|num_groups", 1),
    (r"shared_experts$", 1),
    (r"experts_per_tok|top_?k$|num_selected|experts_top", 2),
    (r"experts?$|num_local_experts|experts_per_layer", 4),
    (r"moe_intermediate|expert_hidden|expert_intermediate|ffn_dim|intermediate|inner_dim|d_ff|n_inner|mlp_dim", 48),
    (r"hidden_size|d_model|n_embd|embed_dim|embedding_size|^dim$|width|projection_dim|out_hidden", 32),
    (r"max_position|max_seq|max_sequence|n_positions|n_ctx|context_length|max_target", 64),
    (r"state_size|ssm_state|d_state", 8),
    (r"chunk_size", 8),
    (r"sliding_window|attention_window|window_size", 8),
    (r"image_size", 16),
    (r"patch_size|spatial_merge|tile", 4),
    (r"temporal_patch", 2),
)
_KEPT = re.compile(r"hidden_act|dropout|chunk_size_feed_forward|spatial_merge_size|temporal")


def shrunk(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a config, nested ones too, with small sizes."""
    found = {name: _small(name, value) for name, value in settings.items()}
    found.pop("transformers_version", None)
    found.pop("dtype", None)
    return found


def _small(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        if "mrope_section" in value:
            value = {**value, "mrope_section": [1, 1, 2]}
        nested = name.endswith("config") or name.endswith("_cfg")
        return shrunk(value) if nested else value
    if name in ("layer_types", "layers_block_type", "mlp_layer_types") and value:
        kinds = list(dict.fromkeys(value))
        return [*kinds, *kinds][:LAYERS] if len(kinds) > 1 else list(value)[:LAYERS]
    if isinstance(value, bool) or not isinstance(value, int) or _KEPT.search(name):
        return value
    return next((min(small, value) for form, small in _SIZES if re.search(form, name)), value)
