"""SIGKILL at random moments: the output is absent or complete, and the next run succeeds."""

import filecmp
import multiprocessing
import random
import shutil
import time
from pathlib import Path

import pytest

from rvec_merge.errors import OutputError
from rvec_merge.merge.run import merge
from rvec_merge.merge.settings import Settings
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE

KILLS = 20
FILES = ["model.safetensors", "config.json", "tokenizer.json", "rvec_merge.json"]


def _merge(text: str, out: Path, overwrite: bool) -> None:
    merge(parse_recipe(text), out, Settings(overwrite=overwrite))


@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A triple large enough for its merge to be hit in the middle."""
    from benchmarks.generate import generate

    root = tmp_path_factory.mktemp("big")
    yield RECIPE.format(**generate(root, "0.03b"), scale=1.0, out_dtype="bfloat16")
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def server():
    """Starts processes that have everything imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["rvec_merge.merge.run", "mergekit.merge", "torch"])
    return context


@pytest.mark.slow
def test_sigkill_leaves_the_output_absent_or_complete(tmp_path, big, server):
    def start(overwrite):
        process = server.Process(target=_merge, args=(big, out, overwrite))
        process.start()
        return process

    def complete(folder):
        return filecmp.cmpfiles(reference, folder, FILES, shallow=False) == (FILES, [], [])

    def unfinished():
        return {path.name for path in tmp_path.iterdir() if path.name.startswith(".out.rvec-")}

    out, reference = tmp_path / "out", tmp_path / "reference"
    start(False).join()
    begin = time.monotonic()
    process = start(True)
    process.join()
    seconds = time.monotonic() - begin
    shutil.copytree(out, reference)
    shutil.rmtree(out)
    moments = random.Random(0)
    interrupted = 0
    for number in range(KILLS):
        overwrite = number % 2 == 1
        if overwrite and not out.exists():
            shutil.copytree(reference, out)
        before = unfinished()
        process = start(overwrite)
        if number % 4 < 2:
            # A busy machine makes times unsure: these kills wait until the output is being written.
            while process.is_alive() and unfinished() <= before:
                time.sleep(0.001)
            time.sleep(moments.choice([0, 0, 0.01, 0.05]) * seconds)
        else:
            time.sleep(moments.uniform(0, 1.1 * seconds))
        process.kill()
        process.join()
        interrupted += bool(unfinished() - before)
        assert not out.exists() or complete(out)
        assert out.exists() or not overwrite
        if out.exists() and not overwrite:
            shutil.rmtree(out)
    assert interrupted >= KILLS // 4  # else the moments missed the merge, and nothing was tested
    shutil.rmtree(out, ignore_errors=True)
    process = start(False)
    process.join()
    assert process.exitcode == 0
    assert complete(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "reference"]


def test_a_disk_that_fills_in_the_middle_leaves_nothing(tmp_path, triple):
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        text = RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16")
        needed = (triple["target"] / "model.safetensors").stat().st_size
        free = shutil.disk_usage(disk).free
        # Room for the weights, as the preflight asks, but not for what lies beside them.
        (disk / "ballast").write_bytes(bytes(free - needed - 4096))
        with pytest.raises(OutputError, match="disk is full"):
            merge(parse_recipe(text), disk / "out")
        assert [path.name for path in disk.iterdir()] == ["ballast"]
        (disk / "ballast").write_bytes(bytes(free - needed + 10_000))
        with pytest.raises(OutputError, match="no room"):
            merge(parse_recipe(text), disk / "out")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
