"""The stable rank: a few per cent from above, whatever the matrix."""

import torch

from rvec_merge.vector.inputs import open_donors
from rvec_merge.vector.inspection import inspect_vector
from tests.vector.conftest import save_donors


def test_stable_rank(tmp_path):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, 3, generator=generator) for n in (900, 500))
    tensors = {
        "low": left @ right.T,
        "noise": torch.randn(700, 900, generator=generator),
        "bias": torch.randn(9, generator=generator),
        "zero": torch.zeros(4, 4),
    }
    pairs = {name: (value, torch.zeros_like(value)) for name, value in tensors.items()}
    found = inspect_vector(open_donors(*save_donors(tmp_path, pairs)), ranks=True)
    ranks = {row.label: row.stable_rank for row in found.rows}
    assert ranks["bias"] is ranks["zero"] is None
    for name, tolerance in (("low", 1e-6), ("noise", 0.1)):
        spectral = float(torch.linalg.matrix_norm(tensors[name].double(), 2))
        exact = float(tensors[name].double().norm()) ** 2 / spectral**2
        assert exact * (1 - 1e-6) <= ranks[name] <= exact * (1 + tolerance)
