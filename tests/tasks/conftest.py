"""The sample items, and a model small enough to evaluate in a test."""

from pathlib import Path

import pytest

from tests.lm_eval_runs import harness, runs  # noqa: F401


@pytest.fixture(autouse=True)
def _sample_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "sample")


@pytest.fixture(scope="session")
def byte_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2 with a byte-level tokenizer, for which every text is a prompt."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*alphabet, "<|endoftext|>"])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    end = {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    folder = tmp_path_factory.mktemp("byte_model")
    PreTrainedTokenizerFast(tokenizer_object=inner, **end).save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
        eos_token_id=256, bos_token_id=256,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder
