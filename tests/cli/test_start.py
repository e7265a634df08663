"""``rvec --help`` answers at once: it may load neither torch nor anything that does."""

import subprocess
import sys

from click.testing import CliRunner

from rvec_merge import cli

HEAVY = ("torch", "mergekit", "transformers", "lm_eval", "huggingface_hub", "numpy", "rich", "yaml")
PROGRAM = f"""
import sys
from rvec_merge.cli import rvec
rvec(["--help"], standalone_mode=False)
print("loaded:", [name for name in {HEAVY!r} if name in sys.modules])
"""


def test_help_lists_every_verb_and_loads_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "loaded: []" in done.stdout
    assert [verb for verb in cli.VERBS if f"\n  {verb} " not in done.stdout] == []


def test_every_verb_has_help():
    for verb in cli.VERBS:
        result = CliRunner().invoke(cli.rvec, [verb, "--help"])
        assert result.exit_code == 0
        assert f"Usage: rvec {verb}" in result.output


def test_unknown_verb_is_wrong_usage():
    main = "from rvec_merge.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", main, "mrege"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "No such command 'mrege'" in done.stderr
