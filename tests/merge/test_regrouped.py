"""A donor that stores a layer's experts in another form than the target: the same merge."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import rvec_merge as rv
from rvec_merge.errors import RvecError
from rvec_merge.merge.verify import verify
from rvec_merge.preflight.run import examine
from rvec_merge.recipe.read import parse_recipe
from tests.architectures import make_architecture
from tests.conftest import RECIPE, load_tensors
from tests.merge.conftest import assert_same_tensors, run
from tests.vector.test_dense import VECTOR_RECIPE

ROLES = ("target", "sft", "grpo")
PARTS = {
    "qwen3_moe": (".mlp.experts.", ("gate_proj", "up_proj", "down_proj"), ".mlp."),
    "mixtral": (".block_sparse_moe.experts.", ("w1", "w3", "w2"), ".mlp."),
}


def text_for(folders: dict[str, Path]) -> str:
    return RECIPE.format(scale=0.5, out_dtype="float32", **folders)


def fused(source: Path, folder: Path, kind: str) -> Path:
    """A copy of a checkpoint with its experts as they are in transformers' memory."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    experts, (gate, up, down), inside = PARTS[kind]
    before = experts.removesuffix("experts.")
    for layer in range(2):
        stem = f"model.layers.{layer}{experts}"
        count = len({name.split(".")[5] for name in tensors if name.startswith(stem)})
        taken = {
            part: [tensors.pop(f"{stem}{n}.{part}.weight") for n in range(count)]
            for part in (gate, up, down)
        }
        pairs = zip(taken[gate], taken[up], strict=True)
        out = f"model.layers.{layer}{inside}experts."
        tensors[f"{out}gate_up_proj"] = torch.stack([torch.cat(pair) for pair in pairs])
        tensors[f"{out}down_proj"] = torch.stack(taken[down])
    renamed = {name.replace(before, inside): value for name, value in tensors.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module", params=PARTS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """The folders of a family as transformers saves it, and with fused experts."""
    root = tmp_path_factory.mktemp("experts")
    apart = make_architecture(root, request.param)
    return apart, {r: fused(apart[r], root / f"{r}-fused", request.param) for r in ROLES}


@pytest.mark.parametrize("roles", [("grpo",), ("sft", "grpo")])
def test_fused_donors_of_a_target_that_is_not(
    roles: tuple[str, ...], both: tuple, tmp_path: Path
) -> None:
    apart, together = both
    text = text_for({**apart, **{role: together[role] for role in roles}})
    report = examine(parse_recipe(text), tmp_path / "out")
    report.raise_errors()
    said = [n for n in report.warnings if "in another form" in n.headline]
    assert len(said) == len(roles)
    run(text, tmp_path / "out")
    run(text_for(apart), tmp_path / "plain")
    assert_same_tensors(tmp_path / "out", tmp_path / "plain")
    assert verify(tmp_path / "out").holds


def test_a_fused_target_of_donors_that_are_not(both: tuple, tmp_path: Path) -> None:
    apart, together = both
    run(text_for({**apart, "target": together["target"]}), tmp_path / "out")
    run(text_for(together), tmp_path / "plain")
    assert_same_tensors(tmp_path / "out", tmp_path / "plain")


def test_donors_that_mergekit_wrote(
    both: tuple, stock_merge: Callable[..., Path], tmp_path: Path
) -> None:
    """It stacks the experts of some models."""
    apart, _ = both
    said = f"merge_method: passthrough\nmodels: [{{model: {apart['grpo']}}}]\ndtype: bfloat16\n"
    theirs = stock_merge(said)
    run(text_for({**apart, "grpo": theirs}), tmp_path / "out")
    run(text_for(apart), tmp_path / "plain")
    assert_same_tensors(tmp_path / "out", tmp_path / "plain")


@pytest.mark.parametrize(("plus", "minus"), [(0, 1), (1, 0)])
def test_a_vector_of_donors_in_two_forms(
    plus: int, minus: int, both: tuple, tmp_path: Path
) -> None:
    """It is extracted under the grpo donor's names, and merges into a target of either form."""
    pair = {"grpo": str(both[plus]["grpo"]), "sft": str(both[minus]["sft"])}
    rv.extract(None, tmp_path / "vector", **pair)
    run(text_for(both[0]), tmp_path / "plain")
    for form in both:
        text = VECTOR_RECIPE.format(
            target=form["target"], vector=tmp_path / "vector", scale=0.5, out_dtype="float32"
        )
        run(text, tmp_path / form["target"].name)
    assert_same_tensors(tmp_path / both[0]["target"].name, tmp_path / "plain")
    run(text_for(both[1]), tmp_path / "together")
    assert_same_tensors(tmp_path / both[1]["target"].name, tmp_path / "together")


@pytest.mark.parametrize("case", ["an expert fewer", "another width"])
def test_experts_that_do_not_fit_are_refused(case: str, both: tuple, tmp_path: Path) -> None:
    apart, together = both
    grpo = tmp_path / "grpo"
    shutil.copytree(together["grpo"], grpo)
    tensors = load_tensors(grpo)
    name = "model.layers.1.mlp.experts.gate_up_proj"
    cut = tensors[name][1:] if case == "an expert fewer" else tensors[name][:, 2:]
    tensors[name] = cut.clone()
    save_file(tensors, grpo / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RvecError, match="not in every input"):
        run(text_for({**apart, "grpo": grpo}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
