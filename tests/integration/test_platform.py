"""The plugin where there is no Unix: a stock mergekit run with our method."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import RECIPE, load_tensors

# What Windows lacks is taken from our modules alone: on Linux the libraries below use it rightly.
WITHOUT_UNIX = """
import builtins, os, sys, types

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "termios", "tty"}
NAMES = {
    "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "ST_RDONLY", "fork", "fwalk", "geteuid",
    "getuid", "killpg", "posix_fadvise", "pread", "preadv", "pwrite", "sched_getaffinity",
    "statvfs", "sysconf", "uname",
}

class Windows(types.ModuleType):
    def __getattr__(self, name):
        if name in NAMES:
            raise AttributeError(f"Windows has no os.{name}")
        return getattr(os, name)

real, windows = builtins.__import__, Windows("os")

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    ours = ((globals or {}).get("__name__") or "").startswith("rvec_merge")
    if ours and name.partition(".")[0] in MODULES:
        raise ModuleNotFoundError(f"Windows has no {name}")
    found = real(name, globals, locals, fromlist, level)
    return windows if ours and found is os and not fromlist else found

builtins.__import__ = guarded
assert not any(name.startswith("rvec_merge.") and "autoload" not in name for name in sys.modules)
"""
STOCK = """
from mergekit.scripts.run_yaml import main
main(sys.argv[1:], standalone_mode=False)
import rvec_merge.experiment.store, rvec_merge.vector.read, rvec_merge.report.card  # readers
try:
    exec("import fcntl", {"__name__": "rvec_merge.other"})
except ModuleNotFoundError:
    print("the guard holds")
"""


def test_stock_mergekit_merges_where_there_is_no_unix(triple, stock_merge, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX + STOCK, recipe, tmp_path / "out", "--quiet"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the guard holds" in done.stdout
    found, wanted = load_tensors(tmp_path / "out"), load_tensors(stock_merge(recipe.read_text()))
    assert found.keys() == wanted.keys()
    assert all((found[name] == wanted[name]).all() for name in wanted)
