"""What other libraries say is told without their numbers and wording."""

import re
from pathlib import Path

import rvec_merge
from rvec_merge.errors import said_by, why

PACKAGE = Path(rvec_merge.__file__).parent
REPOSITORY = PACKAGE.parent


def test_no_number_of_the_system_is_told() -> None:
    error = OSError("open failed: [Errno 2] No such file or directory: 'x'")
    assert why(error) == "open failed: No such file or directory: 'x'"
    assert said_by(error) == [why(error)]


def test_what_pydantic_finds_is_explained_wherever_it_is_caught() -> None:
    """Its own words (``msg``) are read in one place alone; its exception is caught by its name."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path.name != "explained.py":
            assert not re.search(r"""\[["']msg["']\]""", text), path
        caught = len(re.findall(r"except \(?ValidationError", text))
        assert caught <= text.count("explained(error)"), path


def test_an_extra_that_is_to_be_installed_is_one() -> None:
    """pip takes a name that is none for a typing error, warns, and installs nothing."""
    declared = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (extras,) = re.findall(r"^\[project.optional-dependencies\]\n(.*?)^\[", declared, re.M | re.S)
    known = set(re.findall(r"^(\w+) = \[", extras, re.M))
    places = [*REPOSITORY.glob("rvec_merge/**/*.py"), *REPOSITORY.glob("docs/*.md")]
    places += [*REPOSITORY.glob("evidence/**/*.py"), *REPOSITORY.glob("demo/*.py")]
    said = {n for p in places for n in re.findall(r"rvec-merge\[(\w+)\]", p.read_text("utf-8"))}
    assert {"ray", "vllm", "train"} <= said
    assert said <= known
