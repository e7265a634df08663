"""What is printed is shown; JSON stays JSON."""

import json

import pytest

from rvec_merge.cli.echo import echo, echo_json


def test_a_line_goes_where_it_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    echo("a\x1b[2J")
    echo("b", err=True, nl=False)
    assert capsys.readouterr() == ("a\\u001b[2J\n", "b")


def test_json_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"Größe": ["\x1b\u202e", None, 1.5]}
    echo_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert "Größe" in printed
    assert "\u202e" not in printed
