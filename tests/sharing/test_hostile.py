"""Repos that mean harm are refused within bounded time and memory, and leave nothing."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys

import pytest
import zstandard

from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import REPOSITORY
from tests.hub.conftest import folder_files
from tests.hub.server import serving
from tests.hub.state import Hub

DEEP = b"[" * 1_000_000
BOMB = """\
a: &a [x, x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e, *e]
g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f, *f]
merge_method: reasoning_vector
base_model: *g
"""
# What is done with which repo, and the words of the refusal.
CASES = {
    "fetch:huge-header": "header is too large",
    "fetch:endless-header": "header is too large",
    "check:huge-header-model": "header on the Hub is malformed or too large",
    "check:endless-header-model": "header on the Hub is malformed or too large",
    "check:million-tensors": "header on the Hub is malformed or too large",
    "check:many-tensors-in-shards": "too many tensors",
    "check:many-names-in-index": "too many tensors",
    "fetch:many-tensors-vector": "too many tensors",
    "read:zip-bomb": "is damaged",
    "read:zip-bomb-unsized": "is damaged",
    "read:vast-shape": "is damaged",
    "fetch:deep-head": "cannot be read",
    "fetch:deep-config": "cannot be read",
    "fetch:deep-header": "not a readable safetensors file",
    "check:deep-header-model": "header on the Hub is malformed or too large",
    "check:deep-config-model": "cannot be read",
    "fetch:head-names-parent": "is malformed",
    "check:index-names-parent": "does not hold beside it",
    "fetch:only-parents": "holds nothing that rvec shares",
    "fetch:large-config": "larger than such a file can be",
    "fetch:pickle": "not a readable safetensors file",
    "recipe:yaml-bomb": "too many nodes",
    "recipe:yaml-long": "larger than such a file can be",
    "recipe:python-tag": "not valid YAML",
    "recipe:unknown-key": "Unknown key",
    "recipe:two-kinds": "mixes several things",
}


@pytest.fixture(scope="module")
def verdicts(triple, tmp_path_factory) -> dict[str, tuple[str, float]]:
    """Each case's refusal and CPU time, met in a child with 1 GiB to spare."""
    work = tmp_path_factory.mktemp("hostile")
    good = work / "vector"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), good, shard_size=10**9)
    with serving() as hub:
        put_all(hub, folder_files(good), folder_files(triple["target"]))
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(work / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "OMP_NUM_THREADS": "1",
        }
        child = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.sharing.limited",
                *(c.replace(":", ":evil/") for c in CASES),
            ],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
    told = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(told) == len(CASES), child.stderr[-2000:]
    return {case.replace(":evil/", ":"): (said, seconds) for case, said, seconds in told}


@pytest.mark.parametrize("case", CASES)
def test_is_refused_in_bounded_time_and_memory(verdicts, case):
    said, seconds = verdicts[case]
    assert re.search(CASES[case], said), said
    assert seconds < 10


def put_all(hub: Hub, vector: dict[str, bytes], model: dict[str, bytes]) -> None:
    weights = "vector.safetensors"

    def put(name: str, files: dict[str, bytes]) -> None:
        hub.put(f"evil/{name}", files)

    huge = struct.pack("<Q", 30_000_000) + b"{" + b" " * 29_999_998 + b"}"
    endless = struct.pack("<Q", 1 << 62) + b"{}"
    deep = struct.pack("<Q", len(DEEP)) + DEEP
    put("huge-header", {**vector, weights: huge})
    put("endless-header", {**vector, weights: endless})
    put("deep-header", {**vector, weights: deep})
    put("many-tensors-vector", {**vector, weights: tiny_tensors(260_000, 0)})
    put("deep-head", {**vector, "rvec_vector.json": DEEP})
    put("deep-config", {**vector, "config.json": DEEP})
    put("large-config", {**vector, "config.json": b" " * (2 << 20)})
    put("only-parents", {"../../recipe.yaml": b"", "/etc/recipe.yaml": b"", "a/recipe.yaml": b""})
    put("pickle", {k: v for k, v in vector.items() if k != weights} | {"vector.bin": b"\x80\x04."})
    head = json.loads(vector["rvec_vector.json"])
    first = next(iter(head["tensors"]))
    parent = json.loads(vector["rvec_vector.json"])
    parent["tensors"][first]["file"] = "../vector.safetensors"
    put("head-names-parent", {**vector, "rvec_vector.json": json.dumps(parent).encode()})
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(bytes(1 << 28)) + stream.flush()
    put("zip-bomb", with_sections(vector, bomb))
    put("zip-bomb-unsized", with_sections(vector, unsized))
    vast = json.loads(vector["rvec_vector.json"])
    vast["tensors"][first]["shape"] = [1 << 31, 1 << 30]
    put("vast-shape", {**vector, "rvec_vector.json": json.dumps(vast).encode()})

    single, index = "model.safetensors", "model.safetensors.index.json"
    rest = {name: data for name, data in model.items() if name != single}
    put("huge-header-model", {**model, single: huge})
    put("endless-header-model", {**model, single: endless})
    put("deep-header-model", {**model, single: deep})
    put("deep-config-model", {**model, "config.json": DEEP})
    put("million-tensors", {**model, single: tiny_tensors(1_000_000, 0)})
    shards = {f"model-{i:05}-of-00003.safetensors": tiny_tensors(100_000, i) for i in (1, 2, 3)}
    # The index names few tensors; the shards hold more.
    names = {f"t{i}.0": file for i, file in enumerate(shards, 1)}
    put("many-tensors-in-shards", {**rest, **shards, index: to_index(names)})
    many = {f"t1.{i}": "model-00001-of-00003.safetensors" for i in range(300_000)}
    put("many-names-in-index", {**rest, **shards, index: to_index(many)})
    put("index-names-parent", {**rest, index: to_index({"a": "../../x.safetensors"})})

    put("yaml-bomb", {"recipe.yaml": BOMB.encode()})
    put("yaml-long", {"recipe.yaml": b"a: b\n" + b"# x\n" * (1 << 19)})
    put("python-tag", {"recipe.yaml": b"!!python/object/apply:os.system ['true']"})
    put("unknown-key", {"recipe.yaml": b"merge_method: reasoning_vector\nrun: rm\n"})
    put("two-kinds", {**vector, "recipe.yaml": b"merge_method: linear\n"})


def to_index(weight_map: dict[str, str]) -> bytes:
    return json.dumps({"metadata": {}, "weight_map": weight_map}).encode()


def tiny_tensors(count: int, number: int) -> bytes:
    """A well-formed safetensors file of so many one-byte tensors."""
    entries = (
        f'"t{number}.{i}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}'
        for i in range(count)
    )
    header = ("{" + ",".join(entries) + "}").encode()
    return struct.pack("<Q", len(header)) + header + bytes(count)


def with_sections(vector: dict[str, bytes], section: bytes) -> dict[str, bytes]:
    """The vector with one tensor's block replaced by one whose sections are all ``section``."""
    head = json.loads(vector["rvec_vector.json"])
    data = vector["vector.safetensors"]
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    name, record = next(
        (n, r) for n, r in head["tensors"].items() if r["nonzero"] > 0 and len(r["shape"]) == 2
    )
    # Kind dense, no tail: two planes of as many bytes as elements.
    count = record["shape"][0] * record["shape"][1]
    block = struct.pack("<BBHII", 2, 0, 0, count, 0) + struct.pack("<II", *[len(section)] * 2)
    block += section * 2
    table = struct.pack("<QQ", 0, len(block)) + hashlib.sha256(block).digest()
    payload = block + table
    metadata = header.pop("__metadata__", None)
    body, entries = b"", {}
    for tensor, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        low, high = entry["data_offsets"]
        part = payload if tensor == name else data[8 + length + low : 8 + length + high]
        span = [len(body), len(body) + len(part)]
        entries[tensor] = {"dtype": "U8", "shape": [len(part)], "data_offsets": span}
        body += part
    text = json.dumps({"__metadata__": metadata, **entries} if metadata else entries).encode()
    record["sha256"] = hashlib.sha256(table).hexdigest()
    weights = struct.pack("<Q", len(text)) + text + body
    return {
        **vector,
        "vector.safetensors": weights,
        "rvec_vector.json": json.dumps(head).encode(),
    }
