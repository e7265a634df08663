"""Whatever a model's weights are made of, one can look through to what is stored."""

from pathlib import Path

import pytest

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.weights import View, are_here, layers
from tests.conftest import make_triple


@pytest.fixture
def stored(tmp_path: Path) -> Checkpoint:
    return Checkpoint.open(make_triple(tmp_path)["sft"])


def test_a_view_of_a_view_leads_to_what_is_stored(stored: Checkpoint) -> None:
    outer = View(View(stored))
    assert list(layers(outer)) == [outer, outer.base, stored]
    assert (outer.root, outer.config, outer.paths) == (stored.root, stored.config, stored.paths)
    assert not outer.pickled


def test_weights_of_which_a_file_is_gone_are_not_here(stored: Checkpoint) -> None:
    view = View(stored)
    assert are_here(view)
    stored.paths[0].unlink()
    assert not are_here(view)
