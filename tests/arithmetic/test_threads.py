"""Threads of ours have torch's to themselves, and give them back."""

import subprocess
import sys
from contextlib import suppress

import torch

from rvec_merge.arithmetic.threads import one_thread_each


def test_torch_has_one_thread_within_and_its_own_again_afterwards():
    before = torch.get_num_threads()
    with suppress(ZeroDivisionError), one_thread_each() as threads:
        assert threads == before
        assert torch.get_num_threads() == 1
        _ = 1 / 0
    assert torch.get_num_threads() == before


def test_without_torch_there_are_as_many_as_cores_and_it_is_not_imported():
    code = (
        "import os, sys\n"
        "from rvec_merge.arithmetic.threads import one_thread_each\n"
        "with one_thread_each() as threads: assert threads == os.cpu_count()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
