"""Donors with other rows in their vocabularies: ``tokenizer: {source: base}``."""

import json
from pathlib import Path

import pytest
import torch

import rvec_merge as rv
from rvec_merge.errors import PlanError, RvecError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.weights import StateWeights, fresh
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import load_tensors
from tests.preflight.conftest import WORDS, Trio, sound, tokenizer, trio  # noqa: F401

EMBEDDINGS = "model.embed_tokens.weight"
# Ids 60 to 62 are special and added tokens; the donors know 60 alone, and have eight rows more.
SHARED = 61


@pytest.fixture
def wide(trio: Trio) -> Trio:  # noqa: F811
    """A target that added two tokens to the donors' vocabulary, and donors padded further."""
    trio.recipe["tokenizer"] = {"source": "base"}
    trio.recipe["parameters"] = {"scale": 0.7}
    trio.recipe["out_dtype"] = "float32"
    generator = torch.Generator().manual_seed(5)
    for name in ("grpo", "sft"):
        trio.edit_config(name, vocab_size=72)
        found = tokenizer([*WORDS, "<|end|>"], [])
        found["added_tokens"] = []
        (trio.folder(name) / "tokenizer.json").write_text(json.dumps(found))
        rows = torch.randn(72, 32, generator=generator).bfloat16()
        trio.edit_tensors(name, lambda t, rows=rows: t.update({EMBEDDINGS: rows}))
    return trio


def exact(trio: Trio) -> torch.Tensor:  # noqa: F811
    """The definition in float32, for the shared rows; the target's own beyond."""
    target, grpo, sft = (
        load_tensors(trio.folder(name))[EMBEDDINGS].float() for name in ("target", "grpo", "sft")
    )
    made = target.clone()
    made[:SHARED] += (grpo[:SHARED] - sft[:SHARED]) * torch.tensor(0.7)
    return made


def test_the_common_rows_are_merged_and_the_targets_others_stay(wide: Trio) -> None:
    checked = wide.check()
    assert checked.exit_code == 0, checked.output
    assert f"{SHARED} tokens have one id in all inputs; their rows are merged." in checked.output
    assert "2 tokens of the target keep their rows:" in checked.output
    wide.merge()
    merged = load_tensors(wide.out)[EMBEDDINGS]
    assert merged.shape == (64, 32)
    assert torch.equal(merged, exact(wide))
    assert rv.verify(wide.out).holds
    assert json.loads((wide.out / "config.json").read_text())["vocab_size"] == 64


def test_mergekit_gives_the_common_rows_the_same_bits(wide: Trio, tmp_path: Path) -> None:
    wide.merge()
    ours = load_tensors(wide.out)
    wide.out = tmp_path / "stock"
    wide.merge_stock()
    theirs = load_tensors(wide.out)
    assert torch.equal(ours[EMBEDDINGS][:SHARED], theirs[EMBEDDINGS][:SHARED])
    assert all(torch.equal(ours[n], t) for n, t in theirs.items() if n != EMBEDDINGS)


def test_tokens_that_would_have_to_move_are_mergekits_business(wide: Trio) -> None:
    swapped = tokenizer([WORDS[1], WORDS[0], *WORDS[2:]])
    (wide.folder("sft") / "tokenizer.json").write_text(json.dumps(swapped))
    found = rv.merge(wide.text(), wide.out)
    assert found.executor is not None
    assert "give one token two ids" in found.executor


def test_without_the_key_it_is_an_error_as_before(wide: Trio) -> None:
    del wide.recipe["tokenizer"]
    with pytest.raises(RvecError, match="different ids"):
        wide.merge()


def test_in_memory_too(wide: Trio) -> None:
    wide.merge()
    weights = StateWeights(parse_recipe(wide.text()))
    found = dict(weights.tensors(State("vector", 0.7), fresh(torch.float32)))
    assert torch.equal(found[EMBEDDINGS], exact(wide))
    with pytest.raises(PlanError, match="own_prompts"):
        dict(weights.tensors(State("grpo"), fresh(torch.float32)))
