"""What a shell offers after a word was begun, asked as click's own script asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMPLETE = "from rvec_merge.cli import main; import sys; sys.argv[0] = 'rvec'; main()"


def offered(words: str) -> list[str]:
    """The completions of the last word, as `type,value`."""
    done = subprocess.run(
        [sys.executable, "-c", COMPLETE],
        env={
            **os.environ,
            "_RVEC_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize("verb", ["merge", "check", "extract", "inspect", "recipes"])
def test_recipes_by_name_and_files(verb: str) -> None:
    assert offered(f"rvec {verb} controls/r") == ["plain,controls/random", "file,controls/r"]


@pytest.mark.parametrize("verb", ["experiment", "plans"])
def test_plans_by_name_and_files(verb: str) -> None:
    assert offered(f"rvec {verb} paper-1") == ["plain,paper-1.5b", "file,paper-1"]


def test_verbs() -> None:
    assert offered("rvec ex") == ["plain,experiment", "plain,extract"]


def test_the_line_that_the_documents_give(tmp_path: Path) -> None:
    """bash takes the script that `rvec` prints, and it registers itself."""
    bin_folder = Path(sys.executable).parent
    if not (bin_folder / "rvec").is_file():
        pytest.skip("rvec is not installed beside this Python")
    done = subprocess.run(
        ["bash", "-c", 'eval "$(_RVEC_COMPLETE=bash_source rvec)" && complete -p rvec'],
        env={**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "-F" in done.stdout
