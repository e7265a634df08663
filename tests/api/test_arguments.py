"""Keyword arguments reach the class that declares them; a misspelt one is told its neighbour."""

from dataclasses import dataclass

import pytest

from rvec_merge.api.arguments import sorted_into


@dataclass
class Where:
    device: str = "cpu"


@dataclass
class How:
    threads: int = 2


def test_each_option_reaches_its_class() -> None:
    assert sorted_into("merge", {"threads": 4}, Where, How) == [Where(), How(4)]


def test_a_misspelt_option_is_told_its_neighbour_and_an_unknown_one_all_there_are() -> None:
    with pytest.raises(TypeError, match="no option 'thread'; did you mean 'threads'"):
        sorted_into("merge", {"thread": 4}, Where, How)
    with pytest.raises(TypeError, match="there are device, threads"):
        sorted_into("merge", {"zzz": 4}, Where, How)
