"""The mask of a density: the largest elements stay."""

import pytest
import torch

from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.arithmetic.merge_tensor import merge_tensor
from tests.arithmetic.test_merge_tensor import draw


@pytest.mark.parametrize("density", [0.01, 0.2, 0.5, 0.99])
def test_density_keeps_the_largest_share(density):
    sft, grpo = draw(2000, torch.float32, 1), draw(2000, torch.float32, 2)
    merged = merge_tensor(torch.zeros(2000), [Delta(grpo, sft, 1.0, density=density)])
    difference = grpo - sft
    kept = difference.abs().sort(descending=True).values[int(density * 2000) - 1]
    assert torch.equal(merged, torch.where(difference.abs() >= kept, difference, 0))
