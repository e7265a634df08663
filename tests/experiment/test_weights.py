"""The stream of a state's tensors is what ``rvec merge`` writes: names, bits and effect."""

from pathlib import Path

import pytest
import torch
import yaml

from rvec_merge.errors import NonFiniteError
from rvec_merge.experiment.conditions import State
from rvec_merge.experiment.weights import StateWeights, fresh
from rvec_merge.merge.run import merge
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE, load_tensors

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def text(folders: dict[str, Path], state: State, out_dtype: str, **more: object) -> str:
    recipe = yaml.safe_load(RECIPE.format(**folders, scale=state.scale, out_dtype=out_dtype))
    if state.seed:
        recipe["parameters"] |= {"control": state.kind, "seed": state.seed}
    recipe["parameters"] |= more
    return yaml.safe_dump(recipe)


def weights(folders: dict[str, Path], **more: object) -> StateWeights:
    return StateWeights(parse_recipe(text(folders, State("vector", 1.0), "float32", **more)))


@pytest.mark.parametrize("out_dtype", DTYPES)
@pytest.mark.parametrize(
    "state", [State("vector", 0.5), State("random", -0.5, 3), State("permuted", 1.0, 1)]
)
def test_the_stream_is_the_merge(
    state: State, out_dtype: str, triple: dict[str, Path], tmp_path: Path
) -> None:
    merged = merge(parse_recipe(text(triple, state, out_dtype)), tmp_path / "out")
    stream = weights(triple)
    tensors = dict(stream.tensors(state, fresh(DTYPES[out_dtype])))
    written = load_tensors(tmp_path / "out")
    assert tensors.keys() == written.keys()
    for name, tensor in written.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor), name
    assert stream.effect == merged.effect


def test_a_density_too(triple: dict[str, Path], tmp_path: Path) -> None:
    state = State("vector", 0.5)
    merge(parse_recipe(text(triple, state, "float32", density=0.3)), tmp_path / "out")
    tensors = dict(weights(triple, density=0.3).tensors(state, fresh(torch.float32)))
    assert all(torch.equal(tensors[k], v) for k, v in load_tensors(tmp_path / "out").items())


@pytest.mark.parametrize("role", ["target", "sft", "grpo"])
def test_a_state_without_a_scale_is_the_checkpoint(role: str, triple: dict[str, Path]) -> None:
    stream = weights(triple)
    tensors = dict(stream.tensors(State(role), fresh(torch.bfloat16)))  # type: ignore[arg-type]
    assert all(torch.equal(tensors[k], v) for k, v in load_tensors(triple[role]).items())
    assert stream.effect is None


def test_what_is_given_no_memory_is_left_out(triple: dict[str, Path]) -> None:
    give = fresh(torch.float32)
    stream = weights(triple).tensors(
        State("vector", 1.0), lambda tensor: give(tensor) if "mlp" in tensor.name else None
    )
    assert {name.split(".")[3] for name, _ in stream} == {"mlp"}


def test_spans_and_threads_change_no_bit(
    family: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor that several threads share, one that is begun before the last is taken."""
    state = State("random", 0.7, 2)
    whole = dict(weights(family).tensors(state, fresh(torch.bfloat16)))
    monkeypatch.setattr("rvec_merge.experiment.weights._SPAN", 1 << 13)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    parts = dict(weights(family).tensors(state, fresh(torch.bfloat16)))
    assert list(whole) == list(parts)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_damaged_donor_ends_the_stream(broken_recipe: Path) -> None:
    stream = StateWeights(parse_recipe(broken_recipe.read_text()))
    with pytest.raises(NonFiniteError, match=r"model\.norm\.weight"):
        dict(stream.tensors(State("vector", 1.0), fresh(torch.float32)))
    assert stream.effect is None


def test_a_consumer_may_stop(triple: dict[str, Path]) -> None:
    """Its threads end, and torch has its own back."""
    before = torch.get_num_threads()
    stream = weights(triple).tensors(State("vector", 1.0), fresh(torch.float32))
    next(stream)
    stream.close()
    assert torch.get_num_threads() == before
