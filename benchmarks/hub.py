"""What it costs that a merge's models lie in the Hub's cache: once compared, nothing.

    python benchmarks/hub.py [--size 0.5b] [--runs 3]

Whole `rvec merge` processes, interleaved, page cache warm, offline: of folders, of the same files
as the Hub's client caches them, and of the cache when nothing in it was compared yet. That costs
one hash of every byte, once; after a download the thread that fetched a file hashes it while the
other threads still fetch.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from generate import SIZES, generate
from process import Measured, machine, measure, ratios

import recipes

COMMIT = "c" * 40
LOCAL, COMPARED, NEW = "folders", "cache, compared", "cache, not compared yet"


def main() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="0.5b")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    described = machine()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        models = generate(work, arguments.size)
        os.environ["HF_HOME"] = str(work / "hf")  # the processes take it from here
        rate = cache(models, work / "hf" / "hub")
        found = compare(models, work, arguments.runs)
    compared = [run.wall for run in found[COMPARED]]
    return {
        "machine": described,
        "runs": arguments.runs,
        f"{COMPARED}, against {LOCAL}, wall": ratios(found[COMPARED], found[LOCAL], "wall"),
        f"{COMPARED}, against {LOCAL}, processor": ratios(found[COMPARED], found[LOCAL], "cpu"),
        f"{NEW}, against {LOCAL}, wall": ratios(found[NEW], found[LOCAL], "wall"),
        f"{COMPARED}, seconds": f"{min(compared):.1f} to {max(compared):.1f}",
        "sha256 of one thread, GB/s": round(rate / 1e9, 2),
    }


def compare(models: dict[str, Path], work: Path, runs: int) -> dict[str, list[Measured]]:
    """Each of the three in turn, ``runs`` times."""
    named = {name: f"bench/{name}@{COMMIT}" for name in models}
    local = recipes.write(work, "local", recipes.REASONING_VECTOR, models)
    cached = recipes.write(work, "cached", recipes.REASONING_VECTOR, named)
    out = work / "out"
    found: dict[str, list[Measured]] = {LOCAL: [], COMPARED: [], NEW: []}
    for _ in range(runs):
        for notes in work.glob("hf/hub/*/rvec-hashes"):
            shutil.rmtree(notes)
        found[NEW].append(measure([recipes.RVEC, "merge", cached, out, "--quiet"], out=out))
        found[LOCAL].append(measure([recipes.RVEC, "merge", local, out, "--quiet"], out=out))
        found[COMPARED].append(measure([recipes.RVEC, "merge", cached, out, "--quiet"], out=out))
    return found


def cache(models: dict[str, Path], hub: Path) -> float:
    """Lay the models out as the Hub's client caches repos; bytes hashed per second."""
    nbytes, seconds = 0, 0.0
    for name, folder in models.items():
        repo = hub / f"models--bench--{name}"
        snapshot = repo / "snapshots" / COMMIT
        (repo / "blobs").mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for path in folder.iterdir():
            start = time.perf_counter()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            seconds += time.perf_counter() - start
            nbytes += path.stat().st_size
            os.link(path, repo / "blobs" / digest)
            (snapshot / path.name).symlink_to(Path("../../blobs", digest))
    return nbytes / seconds


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
