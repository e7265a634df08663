"""The family's tokenizer, architecture and checkpoints."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from .language import Turn, base_document

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 640
CONTEXT = 512
# Qwen2's pre-tokenizer: every digit is a token of its own, which column arithmetic needs.
PRE_TOKENIZER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(seed: int, documents: int = 20_000) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer on base text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(seed)
    texts = [
        f"{d.question}\n{d.response}" if isinstance(d, Turn) else d
        for d in (base_document(rng) for _ in range(documents))
    ]
    # Role names are in the chat template alone, and should be one token each.
    texts += ["user\n", "assistant\n", "system\n"] * (documents // 4)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def new_model(seed: int, vocabulary: int = VOCABULARY) -> Qwen2ForCausalLM:
    """A freshly initialised model of 0.8 M parameters in the Qwen2 architecture."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=352,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=0.05,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config).float()


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """Token ids of a user turn, up to where the assistant starts to write."""
    text = f"{TURN_START}user\n{question}{TURN_END}\n{TURN_START}assistant\n"
    return list(tokenizer.encode(text, add_special_tokens=False))


def save(model: torch.nn.Module, tokenizer: Any, path: Path, dtype: torch.dtype) -> None:
    """Write a checkpoint folder that transformers and mergekit load as it stands."""
    import copy

    path.mkdir(parents=True, exist_ok=True)
    stored: Any = copy.deepcopy(model).to(dtype)
    stored.config._name_or_path = ""
    stored.config.use_cache = True
    # No max_new_tokens: it would overrule the limit that an evaluation sets.
    stored.generation_config = GenerationConfig(do_sample=False, eos_token_id=2, pad_token_id=0)
    stored.save_pretrained(path)
    tokenizer.name_or_path = ""
    # Inside tokenizer_config.json: hub downloads by merge tools leave *.jinja files behind.
    tokenizer.save_pretrained(path, save_jinja_files=False)


def load_model(path: Path) -> Qwen2ForCausalLM:
    """Load a checkpoint in float32, whatever it is stored in."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=0)
    return model


def load_tokenizer(path: Path) -> Any:
    return AutoTokenizer.from_pretrained(path)
