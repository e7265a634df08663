"""Limits of one process, set from inside. What the other doors keep out: tests/hostile."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX process limits")

LIMITED = """
import resource
from rvec_merge.sandbox import doors
resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
doors._limit(60, 1 << 32)
print(*(resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)))
"""


def test_a_limit_of_the_session_that_is_lower_stays() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert done.stdout.split() == ["30", "0"], done.stderr
