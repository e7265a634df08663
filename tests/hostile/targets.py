"""What strangers' bytes are fed to: each reader may take them or refuse them, and nothing else.

A target's ``read`` raises what the reader raises. Only ``REFUSALS`` are answers; anything else,
and a promise broken by what was read, is a crash.
"""

import contextlib
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from rvec_merge.arithmetic.packing import Squeezer
from rvec_merge.checkpoint.header import Checkpoint, read_header
from rvec_merge.errors import RvecError
from rvec_merge.experiment.store import Store
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.recipe.yaml import load_yaml
from rvec_merge.results.read import read_results
from rvec_merge.tasks.samples import read_run
from rvec_merge.vector.codec import CorruptBlockError, Encoder, decode
from rvec_merge.vector.format import read_head
from rvec_merge.vector.read import CompactVector
from tests.conftest import RECIPE, REPOSITORY
from tests.vector.test_golden import write as write_vector

REFUSALS = (RvecError, CorruptBlockError)
BLOCK_SIZES = (1, 7, 1000, 3000)
CELL = "c" * 64
SAMPLES = "samples_t_2026-01-01T00-00-00.000000.jsonl.gz"
RESULTS = "results_2026-01-01T00-00-00.000000.json"


@dataclass(frozen=True)
class Target:
    """A reader, and valid inputs to begin with.

    Attributes:
        read: reads the bytes, with a folder of its own at hand.
        seeds: makes them, in a folder that is then the reader's.
    """

    read: Callable[[bytes, Path], None]
    seeds: Callable[[Path], list[bytes]]


def _header_seeds(folder: Path) -> list[bytes]:
    tensors = {f"layer.{i}.weight": torch.ones(i + 1, 3) for i in range(4)}
    tensors["half"] = torch.ones(5, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return [(folder / "model.safetensors").read_bytes()]


def _header(data: bytes, folder: Path) -> None:
    path = folder / "one.safetensors"
    path.write_bytes(data)
    tensors, _ = read_header(path)
    assert all(info.start + info.nbytes <= len(data) for info in tensors.values())
    with safe_open(path, "pt") as library:  # what the library refuses, we must refuse
        assert set(library.keys()) == set(tensors)


def _index_seeds(folder: Path) -> list[bytes]:
    save_file({"a": torch.ones(2), "b": torch.ones(2)}, folder / "model-1.safetensors")
    save_file({"c": torch.ones(2)}, folder / "model-2.safetensors")
    places = {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}
    return [json.dumps({"metadata": {"total_size": 24}, "weight_map": places}).encode()]


def _index(data: bytes, folder: Path) -> None:
    (folder / "model.safetensors.index.json").write_bytes(data)
    found = Checkpoint.open(folder)
    assert all(info.path.parent == folder for info in found.tensors.values())


def _head_seeds(folder: Path) -> list[bytes]:
    return [(write_vector(folder) / VECTOR_FILE).read_bytes()]


def _head(data: bytes, folder: Path) -> None:
    (folder / VECTOR_FILE).write_bytes(data)
    read_head(folder)


def _vector_seeds(folder: Path) -> list[bytes]:
    return [(write_vector(folder) / "vector.safetensors").read_bytes()]


def _vector(data: bytes, folder: Path) -> None:
    (folder / "v" / "vector.safetensors").write_bytes(data)
    vector = CompactVector.open(folder / "v")
    for name in vector.names:
        tensor = vector.source(name)
        assert tensor[0 : tensor.size].size == tensor.size


def _block_seeds(_: Path) -> list[bytes]:
    """Blocks of every kind, each behind a byte that says how many values it is read for."""
    values = (np.arange(3000, dtype=np.uint64) * 2654435761) % (1 << 32)
    seeds = []
    for size, count in enumerate(BLOCK_SIZES):
        for wide, dtype in enumerate((np.uint32, np.uint64)):
            bits = values[:count].astype(dtype)
            round_ = (bits >> 16) << 16 if dtype is np.uint32 else (bits << 48)
            few = np.where(np.arange(count) % 50 == 0, bits, np.where(bits % 3 == 0, round_, 0))
            for one in (bits, round_, few.astype(dtype)):
                found = Squeezer(count).squeeze(one.view(f"f{one.itemsize}"))
                seeds.append(bytes([size * 2 + wide]) + Encoder().encode(found))
    return seeds


def _block(data: bytes, _: Path) -> None:
    which = data[0] % (2 * len(BLOCK_SIZES)) if data else 0
    count, dtype = BLOCK_SIZES[which // 2], np.dtype((np.uint32, np.uint64)[which % 2])
    assert decode(data[1:], count, dtype).shape == (count,)


def _recipe_seeds(_: Path) -> list[bytes]:
    plain = RECIPE.format(target="a/t", grpo="a/g", sft="a/s", scale=1.0, out_dtype="bfloat16")
    bundled = [path.read_bytes() for path in sorted((REPOSITORY / "recipes").rglob("*.yaml"))]
    return [plain.encode(), *bundled]


def _yaml_seeds(folder: Path) -> list[bytes]:
    tags = (
        b"a: &a [1, 0x1f, 1_000, 1:30, 2026-01-01, .inf, ~, !!binary aGk=]\n? b\n: *a\nc: |\n d\n"
    )
    return [tags, *_recipe_seeds(folder)]


def _yaml(data: bytes, _: Path) -> None:
    load_yaml(data.decode("utf-8", "replace"), source="a stranger's text")


def _recipe(data: bytes, _: Path) -> None:
    parse_recipe(data.decode("utf-8", "replace"))


def _results_seeds(folder: Path) -> list[bytes]:
    """A small results folder; the first byte of an input says which of its files it replaces.

    Its summary reports no condition, so that ``read_results`` refuses it at the end.
    """
    row = {
        "doc_id": 0, "doc": {"question": "1 + 1?"}, "target": "2", "arguments": {}, "filter": "f",
        "resps": [["2"]], "filtered_resps": ["2"], "metrics": ["acc"], "acc": 1.0,
        "doc_hash": "d", "prompt_hash": "p", "target_hash": "t",
    }  # fmt: skip
    facts = {
        "items": 1, "means": {"t": {"acc,f": 1.0}}, "tokens": 1.0, "parsable": 1.0, "steps": None,
        "effective_scale": 1.0, "lengths": {"t": {"0": 1}},
    }  # fmt: skip
    plan = {"recipe": "r.yaml", "tasks": [{"task": "t"}], "scales": [1.0],
            "selection": {"by": "validation"}}  # fmt: skip
    files = {
        SAMPLES: gzip.compress((json.dumps(row) + "\n").encode()),
        RESULTS: json.dumps({"configs": {"t": {"filter_list": []}}}).encode(),
    }
    store = Store(folder)
    with store.writing({"plan": plan, "recipe": "", "versions": {"torch": "2"}}):
        store.add(CELL, "target", "t", facts, files)
        summary = {"scale": 1.0, "chosen_on": "x", "rule": "r", "verdicts": [], "rows": [],
                   "candidates": []}  # fmt: skip
        store.write("summary.json", json.dumps(summary))
        store.write("flips.json", "[]")
    contents = [path.read_bytes() for path in _results_files(folder)]
    contents[-1] = gzip.decompress(contents[-1])
    return [bytes([number]) + content for number, content in enumerate(contents)]


def _results_files(folder: Path) -> list[Path]:
    cell = folder / "cells" / CELL
    tops = [folder / name for name in ("experiment.json", "summary.json", "flips.json")]
    return [*tops, cell / "cell.json", cell / RESULTS, cell / SAMPLES]


def _results(data: bytes, folder: Path) -> None:
    paths = _results_files(folder)
    number = data[0] if data else 0
    path, content = paths[number % len(paths)], data[1:]
    before = path.read_bytes()
    # The upper half of the first byte's values leaves the packing of the samples to the input.
    is_text = path.name == SAMPLES and number < 128
    path.write_bytes(gzip.compress(content, 1) if is_text else content)
    try:
        with contextlib.suppress(RvecError):
            read_results(folder)
        with contextlib.suppress(RvecError):
            read_run(folder)
        _read_cell(folder)
    finally:
        path.write_bytes(before)


def _read_cell(folder: Path) -> None:
    store = Store(folder)
    store.head()
    cell = store.find(CELL)
    if cell is not None:
        list(cell.samples())


TARGETS = {
    "header": Target(_header, _header_seeds),
    "index": Target(_index, _index_seeds),
    "head": Target(_head, _head_seeds),
    "vector": Target(_vector, _vector_seeds),
    "block": Target(_block, _block_seeds),
    "yaml": Target(_yaml, _yaml_seeds),
    "recipe": Target(_recipe, _recipe_seeds),
    "results": Target(_results, _results_seeds),
}
