"""Run in a process of its own: meet each hostile repo with little memory and time to spare.

Prints one JSON line per case: what was refused, in which words, in how many CPU seconds.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import transformers  # noqa: F401  (big imports must not count)
from mergekit.plan import MergePlanner  # noqa: F401

from rvec_merge.errors import RvecError
from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import parse_reference
from rvec_merge.hub.remote import see
from rvec_merge.hub.vectors import open_vector
from rvec_merge.preflight import examine
from rvec_merge.sharing.pull import pull

ROOM = 1 << 30  # bytes beyond what the imports take
SECONDS = 60  # of CPU, for all cases together


def fetch(repo: str) -> None:
    """Pull it."""
    with tempfile.TemporaryDirectory() as folder:
        pull(parse_reference(repo), Path(folder) / "out")


def check(repo: str) -> None:
    """Check a recipe whose target it is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(
            f"merge_method: linear\nmodels: [{{model: {repo}, parameters: {{weight: 1}}}}]\n"
        )
        examine(open_recipe(path), None, resolver=see).raise_errors()


def read(repo: str) -> None:
    """Decode all of a vector."""
    vector = open_vector(f"hf://{repo}")
    for name in vector.shapes:
        source = vector.delta(name).plus
        for start in range(0, source.size, 1 << 18):
            source[start : start + (1 << 18)]


def recipe(repo: str) -> None:
    """Read a recipe repo."""
    open_recipe(f"hf://{repo}")


def main() -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, size + ROOM))
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS))
    for case in sys.argv[1:]:
        action, repo = case.split(":")
        start = time.process_time()
        try:
            globals()[action](repo)
            said = "nothing was refused"
        except RvecError as error:
            said = str(error)
        except BaseException as error:  # a crash is told as such, and the next case still runs
            said = f"CRASH {type(error).__name__}: {error}"
        print(json.dumps([case, said, time.process_time() - start]), flush=True)


if __name__ == "__main__":
    main()
