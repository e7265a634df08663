"""Run in a process of its own: fetch a model's files, and die at a step, or meet a full disk.

Arguments: the repo, the step, and at which of its calls. Prints the error if there is one.
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from rvec_merge.errors import RvecError
from rvec_merge.files import hashes
from rvec_merge.hub import fetch
from rvec_merge.hub.references import parse_reference
from rvec_merge.hub.snapshot import open_snapshot

STEPS = {  # where the process dies: before or after a function
    "before a download": (fetch, "download", True),
    "between download and comparison": (fetch, "difference", True),
    "before it is noted": (hashes, "_note", True),
    "after it is noted": (hashes, "_note", False),
}


def dying(function: Callable[..., Any], call: int, before: bool) -> Callable[..., Any]:
    calls = iter(range(1, 1000))

    def wrapper(*arguments: Any, **named: Any) -> Any:
        now = next(calls) == call
        result = None if now and before else function(*arguments, **named)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapper


def main() -> None:
    repo, step, call = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if step == "full disk":
        resource.setrlimit(resource.RLIMIT_FSIZE, (call, call))
    else:
        module, name, before = STEPS[step]
        setattr(module, name, dying(getattr(module, name), call, before))
    try:
        snapshot = open_snapshot(parse_reference(repo))
        fetch.fetch_files(snapshot, [n for n in snapshot.files if n != ".gitattributes"])
    except RvecError as error:
        print(error)


if __name__ == "__main__":
    main()
