"""The version is one, and the changelog knows it."""

import re

import rvec_merge
from rvec_merge.version import __version__
from tests.conftest import REPOSITORY


def test_one_version_that_the_changelog_names() -> None:
    assert rvec_merge.__version__ == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", __version__)
    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text("utf-8").replace("[", "")
