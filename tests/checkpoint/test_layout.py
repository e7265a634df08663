"""Files whose every byte is known beforehand: as the safetensors library would write them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from rvec_merge.checkpoint.layout import lay_out


@dataclass
class Tensor:
    name: str
    values: np.ndarray

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: self.values.dtype)
    nbytes = property(lambda self: self.values.nbytes)


TENSORS = [
    Tensor("layers.10", np.ones((3, 5), np.float32)),
    Tensor("layers.2", np.full((3, 5), 2, np.float32)),
    Tensor("ids", np.arange(3)),
    Tensor("ü", np.ones((), np.float16)),
]


def test_a_file_is_the_librarys_byte_for_byte(tmp_path: Path) -> None:
    (shard,) = lay_out(TENSORS, 0)
    handle = shard.create(tmp_path)
    for tensor in TENSORS:
        os.pwrite(handle, tensor.values.tobytes(), shard.offsets[tensor.name])
    os.close(handle)
    theirs = tmp_path / "theirs"
    save_file({t.name: t.values for t in TENSORS}, theirs, {"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize(
    ("size", "groups"), [(0, [4]), (120, [2, 2]), (60, [1, 1, 2]), (1, [1, 1, 1, 1])]
)
def test_files_are_full_in_the_order_of_the_model(size: int, groups: list[int]) -> None:
    shards = lay_out(TENSORS, size)
    assert [len(shard.offsets) for shard in shards] == groups
    assert {n for s in shards[:1] for n in s.offsets} == {t.name for t in TENSORS[: groups[0]]}
