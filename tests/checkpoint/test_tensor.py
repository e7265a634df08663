"""Tensors read from their files, and how long those stay open."""

import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.tensor import StoredTensor


def test_a_file_is_open_as_long_as_a_tensor_is_read_from_it(tmp_path: Path) -> None:
    values = torch.arange(10.0)
    save_file({"w": values}, tmp_path / "model.safetensors")
    path = Path(os.path.realpath(tmp_path / "model.safetensors"))
    source = StoredTensor(Checkpoint.open(tmp_path).tensors["w"])

    def is_open() -> bool:
        handles = Path("/proc/self/fd").iterdir()
        return path in [Path(os.path.realpath(handle)) for handle in handles]

    assert not is_open()
    assert source[2:5].tolist() == values[2:5].tolist()
    assert is_open()
    del source
    assert not is_open()
