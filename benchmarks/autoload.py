"""What the registration hook costs at `import torch`: the entry point, in fresh interpreters.

Prints milliseconds. The hook's own time is taken around its loading and its call, which is all
that torch does with it; the whole import is too noisy to show so small a difference.
"""

import json
import os
import statistics
import subprocess
import sys
from typing import Any

RUNS = 15
PROBE = """
import importlib.metadata, time
import torch  # with autoload off: everything that torch itself loads is there, we are not
(entry,) = [e for e in importlib.metadata.entry_points(group="torch.backends")
            if e.name == "rvec_merge"]
start = time.perf_counter()
entry.load()()
print((time.perf_counter() - start) * 1e3)
"""


def main() -> dict[str, Any]:
    # With bytecode, as installed packages have it.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(RUNS):
        run = subprocess.run(
            [sys.executable, "-c", PROBE],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
            env={**environment, "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"},
        )
        times.append(float(run.stdout))
    return {
        "hook, median ms": round(statistics.median(times), 2),
        "hook, min ms": round(min(times), 2),
        "runs": RUNS,
    }


if __name__ == "__main__":
    print(json.dumps(main(), indent=2))
