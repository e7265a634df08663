"""Merges by the engine and by stock mergekit, side by side."""

import filecmp
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from rvec_merge.merge.run import Outcome, merge
from rvec_merge.merge.settings import Settings
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE, REPOSITORY, load_tensors, make_triple

# Ours say more: the card tells what the merge did, and the provenance is ours alone.
SAYS_MORE = {"README.md", "rvec_merge.json"}


def text(folders: Mapping[str, object], scale=0.7, out_dtype="bfloat16", extra="") -> str:
    return RECIPE.format(**folders, scale=scale, out_dtype=out_dtype) + extra


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A triple with the embedded family's tokenizer; read-only."""
    folders = make_triple(tmp_path_factory.mktemp("shared") / "models")
    add_tokenizer(folders)
    return folders


def add_tokenizer(folders: Mapping[str, Path]) -> None:
    """Give every model the embedded family's tokenizer and a generation config."""
    family = REPOSITORY / "demo" / "family" / "target"
    for folder in folders.values():
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            shutil.copyfile(family / name, folder / name)


def rewrite(folder: Path, change: Callable[[str, torch.Tensor], torch.Tensor]) -> None:
    """Rewrite a checkpoint's tensors into one file."""
    from safetensors.torch import save_file

    tensors = {name: change(name, t).contiguous() for name, t in load_tensors(folder).items()}
    for path in folder.glob("model*"):
        path.unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def run(text: str, out: Path, **settings: object) -> Outcome:
    """Merge a recipe's text with the engine."""
    return merge(parse_recipe(text), out, Settings(**settings))


def assert_same_folder(ours: Path, stock: Path) -> None:
    """Every file byte for byte, save those that say more by design."""
    names = {path.name for path in stock.iterdir()}
    assert {path.name for path in ours.iterdir()} - SAYS_MORE == names - SAYS_MORE
    _, differing, odd = filecmp.cmpfiles(ours, stock, names - SAYS_MORE, shallow=False)
    assert (differing, odd) == ([], [])


def assert_same_tensors(ours: Path, stock: Path) -> None:
    """Every tensor bit for bit, however the files are divided."""
    found, wanted = load_tensors(ours), load_tensors(stock)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        assert (
            found[name].reshape(-1).view(torch.uint8).equal(value.reshape(-1).view(torch.uint8))
        ), name
