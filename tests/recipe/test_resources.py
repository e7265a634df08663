"""What the package brings along, in a wheel or in a checkout."""

from pathlib import Path

import pytest

from rvec_merge.errors import PlanError
from rvec_merge.recipe.resources import BundledFile, Shelf, bundled_paths, folder


def test_everything_bundled_is_there() -> None:
    for name, file in (("recipes", "tiny.yaml"), ("eval", "data"), ("demo/family", "target")):
        assert (folder(name) / file).exists()


def test_subfolders_come_last_and_a_shelf_says_what_it_has(tmp_path: Path) -> None:
    for name in ("z.yaml", "a/b.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# What it does.\n")
    found = bundled_paths(tmp_path)
    assert [name for name, _, _ in found] == ["z", "a/b"]
    shelf = Shelf("plan", tuple(BundledFile(name, path, "") for name, path, _ in found))
    assert shelf.find("a/b.yaml", PlanError).path == tmp_path / "a/b.yaml"
    with pytest.raises(PlanError, match="plans: z, a/b"):
        shelf.find("b", PlanError)
