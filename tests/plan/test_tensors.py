"""Where an input's tensor is found: by the names it may have, or in a run of others' elements."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.checkpoint.places import Run
from rvec_merge.plan.inputs import Input, read_input
from rvec_merge.plan.tensors import InputTensor, Stored
from rvec_merge.recipe.reference import Place, Reference


@pytest.fixture
def model(tmp_path: Path) -> Input:
    values = {"a": torch.arange(6.0), "b": torch.arange(6.0, 12.0), "wide": torch.ones(2, 4)}
    save_file(values, tmp_path / "model.safetensors")
    return read_input(Reference(Place(str(tmp_path))), tmp_path)


def test_names_count_in_their_order_and_a_run_where_none_is_stored(model: Input) -> None:
    run = Run(("a", "b"), 3, (2, 3))
    for names, name, shape in (
        (("b", "a"), "b", (6,)),
        (("x", "wide"), "wide", (2, 4)),
        (("x",), "a", (2, 3)),
    ):
        found = InputTensor(names, run=run).find(model.tensors)
        assert found is not None
        assert (found.name, found.shape) == (name, shape)
    assert InputTensor(("x",), run=Run(("a", "gone"), 0, (12,))).find(model.tensors) is None


def test_what_is_read_of_a_run_is_its_elements_alone(model: Input) -> None:
    stored = Stored(model, "a", None, Run(("a", "b"), 3, (2, 3)))
    assert stored.source()[0:6].tolist() == [3, 4, 5, 6, 7, 8]
    assert stored.nbytes == 6 * 4


def test_rows_that_are_not_read_are_zero_in_the_targets_shape(model: Input) -> None:
    source = Stored(model, "wide", None, rows=(((1, 2),), 3)).source()
    assert source.shape == (3, 4)
    assert np.array_equal(source[0:12].reshape(3, 4).sum(axis=1), [0, 4, 0])
