"""Faults planted in written files, and that each is seen before they are published."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rvec_merge.arithmetic.dtypes import BFLOAT16, FLOAT32
from rvec_merge.checkpoint.written import Wanted, check_written
from rvec_merge.errors import OutputError

WANTED = {
    "a": Wanted((3, 4), BFLOAT16),
    "b": Wanted((2,), FLOAT32),
    "c": Wanted(dtype=np.dtype(np.uint8)),
}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def save(folder: Path, file: str, **tensors: torch.Tensor) -> None:
    save_file(tensors, folder / file, {"format": "pt"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, FIRST, a=torch.zeros(3, 4).bfloat16(), b=torch.zeros(2))
    save(tmp_path, SECOND, c=torch.zeros(7, dtype=torch.uint8))
    index(tmp_path, a=FIRST, b=FIRST, c=SECOND)
    return tmp_path


def index(folder: Path, **files: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": files}))


def head(folder: Path, change: Callable[[dict], object]) -> None:
    data = (folder / FIRST).read_bytes()
    size = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + size])
    change(entries)
    new = json.dumps(entries).encode()
    (folder / FIRST).write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte too many": (lambda f: append(f / FIRST), f"{FIRST}: "),
    "a byte too few": (lambda f: cut(f / SECOND), f"{SECOND}: "),
    "a gap": (
        lambda f: head(f, lambda e: e["a"].update(data_offsets=[9, 33])),
        f"{FIRST}: ",
    ),
    "another shape": (
        lambda f: save(f, FIRST, a=torch.zeros(4, 3).bfloat16(), b=torch.zeros(2)),
        "a: (4, 3) instead of (3, 4)",
    ),
    "another dtype": (
        lambda f: save(f, FIRST, a=torch.zeros(3, 4).bfloat16(), b=torch.zeros(2).int()),
        "b: I32 instead of F32",
    ),
    "a name too few": (
        lambda f: save(f, FIRST, a=torch.zeros(3, 4).bfloat16()),
        "b: not written",
    ),
    "a name too many": (
        lambda f: save(f, SECOND, c=torch.zeros(7, dtype=torch.uint8), d=torch.zeros(1)),
        "d: not planned",
    ),
    "a name in two files": (
        lambda f: save(f, SECOND, c=torch.zeros(7, dtype=torch.uint8), b=torch.zeros(2)),
        f"b: in {FIRST} and in {SECOND}",
    ),
    "no index": (lambda f: (f / INDEX).unlink(), f"{INDEX}: there are 2 files"),
    "an index without a name": (lambda f: index(f, a=FIRST, c=SECOND), f"{INDEX}: b in None"),
    "an index of another file": (
        lambda f: index(f, a=SECOND, b=FIRST, c=SECOND),
        f"{INDEX}: a in {SECOND}; it is in {FIRST}",
    ),
    "an index of more": (
        lambda f: index(f, a=FIRST, b=FIRST, c=SECOND, d=SECOND),
        f"{INDEX}: d in {SECOND}; it is in None",
    ),
}


def test_what_was_wanted_passes(folder: Path) -> None:
    check_written(folder, WANTED)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused(fault: str, folder: Path) -> None:
    plant, said = FAULTS[fault]
    plant(folder)
    with pytest.raises(OutputError, match="is not published") as caught:
        check_written(folder, WANTED)
    assert said in str(caught.value)
