"""What the checks let pass, tell at once, and say of the output."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import RvecError
from tests.conftest import REPOSITORY
from tests.preflight.conftest import SPECIAL, Trio
from tests.preflight.mutations import (
    LAYER,
    retokenized,
)
from tests.preflight.told import Errors, Mutation

ERRORS = {
    "output is an input": Mutation(
        lambda t: setattr(t, "out", t.folder("sft")), ("The output folder is one of the inputs.",)
    ),
    "output in an input": Mutation(
        lambda t: setattr(t, "out", t.folder("sft") / "merged"),
        ("The output folder is one of the inputs.",),
    ),
    "output exists": Mutation(lambda t: t.out.mkdir(), ("The output exists.",), stock=False),
    "output below a file": Mutation(
        lambda t: setattr(t, "out", t.folder("sft").parent / "recipe.yaml" / "out"),
        ("The output cannot be written.", "is not a folder"),
        stock=False,
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


def test_a_sound_trio_passes(trio: Trio) -> None:
    result = trio.check()
    assert result.return_value == 0, result.output
    assert "can be merged.\n" in result.output, "no warning either"
    trio.merge_stock()


def test_every_problem_is_told_at_once(trio: Trio) -> None:
    trio.edit_config("sft", rms_norm_eps=1e-5)
    trio.edit_tensors("grpo", lambda x: x.pop(LAYER))
    retokenized(trio, special=SPECIAL[::-1])
    result = trio.check()
    said = ("rms_norm_eps", f"{LAYER}  missing in grpo", "2 special tokens differ", "3 errors.")
    assert all(part in result.output for part in said), result.output
    with pytest.raises(RvecError, match="There are 3 problems"):
        trio.merge_stock()


def test_no_room_on_the_disk(trio: Trio) -> None:
    # Sparse files: headers that promise more embedding rows than the disk could hold twice.
    rows = shutil.disk_usage(trio.root).free // 32
    for name in ("target", "grpo", "sft"):
        path = trio.folder(name) / "model.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        end = len(data) - 8 - size
        shape = [rows, 32]
        offsets = [end, end + rows * 64]
        first = head["model.embed_tokens.weight"]["data_offsets"]
        head["filler"] = {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first}
        head["model.embed_tokens.weight"] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": offsets,
        }
        new = json.dumps(head).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])
        os.truncate(path, 8 + len(new) + offsets[1])
    text = trio.check().output
    assert "The disk has no room for the output." in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(trio: Trio) -> None:
    trio.out.parent.chmod(0o500)
    try:
        assert "is read-only" in trio.check().output
    finally:
        trio.out.parent.chmod(0o700)


def test_overwriting_an_earlier_output(trio: Trio) -> None:
    trio.merge_stock()
    assert "The output exists." in trio.check().output
    assert trio.check("--overwrite").return_value == 0


def test_other_methods_are_checked_as_far_as_they_go(trio: Trio) -> None:
    trio.recipe["merge_method"] = "linear"
    trio.recipe["parameters"] = {"normalize": False}
    del trio.recipe["base_model"]
    for entry in trio.recipe["models"]:
        entry["parameters"] = {"weight": 1.0}
    assert trio.check().return_value == 0
    trio.edit_tensors("sft", lambda t: t.pop("model.norm.weight"))
    assert "model.norm.weight  missing in model 2" in trio.check().output


def test_a_compact_vector_is_an_input_like_any_other(trio: Trio, tmp_path: Path) -> None:
    args = ["--grpo", str(trio.folder("grpo")), "--sft", str(trio.folder("sft"))]
    made = CliRunner().invoke(rvec, ["extract", str(tmp_path / "vector"), *args])
    assert made.exit_code == 0, made.output
    trio.recipe["models"] = [{"model": str(tmp_path / "vector"), "parameters": {"role": "vector"}}]
    result = trio.check()
    assert result.return_value == 0, result.output
    assert "vector  " in result.output
    with pytest.raises(RuntimeError, match="Unable to find model files"):  # mergekit's own words
        trio.merge_stock()
    trio.edit_config("target", hidden_size=64)
    assert "hidden_size: target 64, vector 32" in trio.check().output


def test_json_tells_errors_in_three_parts(trio: Trio) -> None:
    trio.edit_config("sft", rms_norm_eps=1e-5)
    result = trio.check("--json")
    told = json.loads(result.output)
    assert result.return_value == 1
    assert not told["ok"]
    assert told["errors"][0]["headline"] == "sft and target make another use of their weights."
    assert told["errors"][0]["fix"]
    trio.recipe["merge_methd"] = "x"
    assert json.loads(trio.check("--json").output)["errors"][0]["headline"].startswith(
        "Unknown key"
    )


def test_the_documented_output_is_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    text = (REPOSITORY / "docs/check.md").read_text("utf-8")
    command, told = text.split("```\n$ rvec ")[1].split("```")[0].split("\n", 1)
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(rvec, command.split()).output
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[: told.count("\n")] == told.splitlines()
