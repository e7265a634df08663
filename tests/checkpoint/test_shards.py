"""Files that are written before their tensors' sizes are known."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from rvec_merge.arithmetic.dtypes import FLOAT32
from rvec_merge.checkpoint.shards import ShardWriter


@pytest.mark.parametrize(("size", "count"), [(10**9, 1), (10_500, 3), (1, 4)])
def test_a_tensor_that_a_file_has_no_room_for_begins_the_next(
    size: int, count: int, tmp_path: Path
) -> None:
    tensors = {f"é{n}": np.arange(n, dtype=np.float32) for n in (2000, 300, 3000, 90)}
    writer = ShardWriter(tmp_path, "vector", dict.fromkeys(tensors, 1), size, {"by": "us"})
    for name, values in tensors.items():
        for half in np.array_split(values, 2):  # in pieces, as it is packed
            writer.write(half.tobytes())
        writer.finish(name, FLOAT32, values.shape)
    files = writer.close()
    assert len({*files.values()}) == count == len([*tmp_path.iterdir()])
    for name, values in tensors.items():
        assert np.array_equal(load_file(tmp_path / files[name])[name], values)
