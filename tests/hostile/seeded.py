"""Feed every reader spoiled bytes, within bounds: ``python -m tests.hostile.seeded SHARE [NAME]``.

One line of JSON a target. A crash is told with its case's number, which names it: the same case
is the same bytes.
"""

import json
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.hostile.mutation import spoiled
from tests.hostile.targets import REFUSALS, TARGETS

# Cases in one share; a share takes some seconds for each.
CASES = {
    "header": 4000, "index": 1500, "head": 2500, "vector": 1200, "block": 12000, "yaml": 400,
    "recipe": 300, "results": 800,
}  # fmt: skip
MEMORY = 4 << 30  # address space; torch alone takes about half
SECONDS = 5.0  # processor time for one input


def survive(name: str, cases: int) -> dict[str, int | str]:
    """Run one target, up to its first crash."""
    target = TARGETS[name]
    refused = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        seeds = target.seeds(folder)
        for valid in seeds:
            target.read(valid, folder)
        for case in range(cases):
            data = spoiled(seeds[case % len(seeds)], case)
            before = time.process_time()
            try:
                target.read(data, folder)
            except REFUSALS:
                refused += 1
            except BaseException:
                return {"target": name, "crash": f"case {case}: {traceback.format_exc()}"}
            if (took := time.process_time() - before) > SECONDS:
                return {"target": name, "crash": f"case {case}: {took:.0f} s"}
    return {"target": name, "cases": cases, "refused": refused}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for chosen in sys.argv[2:] or TARGETS:
        print(json.dumps(survive(chosen, int(CASES[chosen] * float(sys.argv[1])))), flush=True)
