"""What the verbs print: names from files are text, and what the system refuses is one error."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

import rvec_merge.cli
from rvec_merge.cli import rvec
from rvec_merge.shown import size_text

HIDDEN = re.compile(
    "[^\\S\n ]|[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]"
)
NAMES = (
    "model.layers.0.[/foo].weight",
    "model.layers.1.[bold red]x[/]\x1b[2J.weight",
    "model.layers.2.\u202egnp.exe\u2066.weight",
    "model.layers.3.$\\frac{$.weight",
    "[/]\n\rFix: run this.weight",
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(rvec, [str(argument) for argument in arguments])


@pytest.fixture
def donors(tmp_path: Path) -> list[Path]:
    """A grpo and an sft donor whose tensors have names that would do something."""
    folders = []
    for side, name in enumerate(("grpo", "sft")):
        folder = tmp_path / name
        folder.mkdir()
        save_file({n: torch.full((8, 8), 1.0 + side) for n in NAMES}, folder / "model.safetensors")
        (folder / "config.json").write_text('{"architectures": ["TinyForCausalLM"]}')
        folders.append(folder)
    return folders


@pytest.mark.parametrize("form", ["compact", "dense", "lora"])
def test_tensor_names_are_text(donors: list[Path], tmp_path: Path, form: str) -> None:
    out = tmp_path / "vector"
    rank = ["--rank", "2"] if form == "lora" else []
    made = run("extract", "--grpo", donors[0], "--sft", donors[1], out, "--format", form, *rank)
    told = [made.output, str(made.exception)]
    if made.exit_code == 0 and form != "lora":
        seen = run("inspect", out, "--tensors", "--plot", tmp_path / "figure.png")
        assert seen.exit_code == 0, seen.exception
        assert "[/foo]" in seen.output
        assert (tmp_path / "figure.png").stat().st_size > 1000
        found = run("inspect", out, "--json").output
        assert {row["name"] for row in json.loads(found)["tensors"]} == set(NAMES)
        told += [seen.output, found]
    assert not [text for text in told if HIDDEN.search(text)]
    assert not [text for text in told if re.search("^Fix: run this", text, re.MULTILINE)]


def test_nothing_is_printed_past_the_escapes() -> None:
    direct = re.compile(r"click\.s?echo\(|(?<![\w.])print\(|from rich\.console import")
    for path in Path(rvec_merge.cli.__file__).parent.glob("*.py"):
        if path.name not in {"echo.py", "console.py"}:
            assert not direct.search(path.read_text()), path.name


def test_what_the_system_refuses_is_one_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "x"))

    monkeypatch.setattr("rvec_merge.tasks.tasks_index.list_tasks", full)
    done = run("tasks")
    assert str(done.exception).splitlines() == [
        "The disk is full.",
        f"  {tmp_path / 'x'}",
        "  No space left on device",
        "Fix: make room, or write to another disk.",
    ]


def test_a_model_in_a_vectors_place_is_told(family: dict[str, Path], tmp_path: Path) -> None:
    assert "Warning" not in run("inspect", "tiny").output
    told = run("inspect", family["target"]).output
    assert "An input of role vector looks like a model, not like a difference." in told


def test_the_readable_size_of_what_is_small() -> None:
    assert [size_text(n) for n in (0, 999, 3290, 3_290_744, 5 * 10**9)] == [
        "0 B", "999 B", "3.29 kB", "3.29 MB", "5 GB",
    ]  # fmt: skip


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "from rvec_merge.cli import main; main()"
    command = [sys.executable, "-c", code, "tasks", "--all", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1
