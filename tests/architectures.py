"""Tiny random triples of many architectures, as transformers saves them."""

from pathlib import Path
from typing import Any

import torch

_TEXT: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
_VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
_EXPERTS = {"num_experts": 3, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
_MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
_QWEN_VISION = {
    "depth": 1,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "out_hidden_size": 32,
    "patch_size": 4,
    "fullatt_block_indexes": [0],
}

# By name: transformers' config class, its model class, the config.
ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {"tie_word_embeddings": False}),
    "qwen2, tied": ("Qwen2Config", "Qwen2ForCausalLM", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"head_dim": 8}),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", {"head_dim": 8}),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", {}),
    "phi3, tied": ("Phi3Config", "Phi3ForCausalLM", {"tie_word_embeddings": True}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {}),
    "cohere": ("CohereConfig", "CohereForCausalLM", {}),
    "falcon": ("FalconConfig", "FalconForCausalLM", {}),
    "gpt_oss": ("GptOssConfig", "GptOssForCausalLM", {"num_local_experts": 2, "head_dim": 8}),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {**_EXPERTS, "head_dim": 8}),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"num_local_experts": 2}),
    "classifier": ("LlamaConfig", "LlamaForSequenceClassification", {}),
    "qwen2_5_vl": (
        "Qwen2_5_VLConfig",
        "Qwen2_5_VLForConditionalGeneration",
        {
            "text_config": {**_TEXT, "rope_parameters": _MROPE},
            "vision_config": _QWEN_VISION,
            "tie_word_embeddings": False,
        },
    ),
    "llava": (
        "LlavaConfig",
        "LlavaForConditionalGeneration",
        {
            "text_config": {"model_type": "llama", **_TEXT},
            "vision_config": {"model_type": "clip_vision_model", **_VISION},
        },
    ),
    "gemma3": (
        "Gemma3Config",
        "Gemma3ForConditionalGeneration",
        {
            "text_config": {"head_dim": 8, **_TEXT},
            "vision_config": _VISION,
            "mm_tokens_per_image": 4,
        },
    ),
}


def make_architecture(root: Path, name: str) -> dict[str, Path]:
    """Save target, sft and grpo of one architecture: one initialisation, three random steps."""
    import transformers

    config_class, model_class, settings = ARCHITECTURES[name]
    settings = settings if "text_config" in settings else {**_TEXT, **settings}
    torch.manual_seed(0)
    config = getattr(transformers, config_class)(**settings)
    model = getattr(transformers, model_class)(config).bfloat16()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    for seed, role in enumerate(("target", "sft", "grpo"), 1):
        generator = torch.Generator().manual_seed(seed)
        model.load_state_dict(start)
        with torch.no_grad():
            for weight in model.parameters():
                step = 0.01 * torch.randn(weight.shape, generator=generator)
                weight += step.to(weight.dtype)
        model.save_pretrained(root / role)
    return {role: root / role for role in ("target", "sft", "grpo")}
