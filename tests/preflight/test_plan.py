"""What `rvec check` tells of the plan, and what `--deep` sees in the weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rvec_merge.errors import RvecError
from tests.conftest import REPOSITORY
from tests.preflight.conftest import Trio


def rows(trio: Trio) -> dict[str, dict[str, list[float]]]:
    """The scale table of the first pair: what gets which scale."""
    table = json.loads(trio.check("--json").output)["plan"]["scales"][0]["rows"]
    return {row.pop("weights"): row for row in table}


def test_one_scale_is_one_row(trio: Trio) -> None:
    assert rows(trio) == {"all weights": {"all": [1.0]}}


def test_filters_show_by_module_group(trio: Trio) -> None:
    trio.recipe["parameters"]["scale"] = [
        {"filter": "self_attn", "value": 0.5},
        {"filter": "gate_proj", "value": 0.25},
        {"value": 0.0},
    ]
    assert rows(trio) == {
        "embeddings": {"all": [0.0]},
        "layers 0–1": {"attention": [0.5], "mlp": [0.0, 0.25], "norm": [0.0]},
        "final norm": {"all": [0.0]},
    }


def test_a_gradient_shows_by_layer(trio: Trio) -> None:
    trio.recipe["parameters"]["scale"] = [0.25, 1.0]
    found = rows(trio)
    assert found["embeddings"] == found["final norm"] == {"all": [0.25]}
    assert found["layer 0"] == {"attention": [0.25], "mlp": [0.25], "norm": [0.25]}
    assert found["layer 1"] == {"attention": [1.0], "mlp": [1.0], "norm": [1.0]}


def test_weights_multiply_and_pairs_have_tables(trio: Trio, tmp_path: Path) -> None:
    import shutil

    for name, shift in (("grpo", 0.01), ("sft", 0.02)):
        second = f"{name}2"
        shutil.copytree(trio.folder(name), trio.folder(second))
        trio.edit_tensors(second, lambda t, by=shift: [v.add_(by) for v in t.values()])
        entry = {"model": str(trio.folder(second)), "parameters": {"role": name, "pair": "b"}}
        trio.recipe["models"].append(entry)
    trio.recipe["models"][2]["parameters"]["weight"] = -0.5
    plan = json.loads(trio.check("--json").output)["plan"]
    cells = {table["pair"]: table["rows"][0]["all"] for table in plan["scales"]}
    assert cells == {"default": [1.0], "b": [-0.5]}


def test_sizes_are_those_of_the_merge(trio: Trio) -> None:
    plan = json.loads(trio.check("--json").output)["plan"]
    trio.merge_stock()
    data = (trio.out / "model.safetensors").read_bytes()
    written = len(data) - 8 - int.from_bytes(data[:8], "little")
    assert plan["output_bytes"] == written
    assert plan["input_bytes"] == 3 * written
    assert (plan["tensors"], plan["dtypes"]) == (26, ["bfloat16"])


def test_slices_are_planned_and_checked(trio: Trio) -> None:
    def sources(first: int, last: int) -> list[dict]:
        return [
            {"model": m["model"], "layer_range": [first, last], "parameters": m["parameters"]}
            for m in trio.recipe["models"]
        ] + [{"model": trio.recipe["base_model"], "layer_range": [first, last]}]

    slices = [{"sources": sources(0, 1)}, {"sources": sources(1, 2)}]
    slices[1]["parameters"] = {"scale": 0.5}
    trio.recipe = {k: v for k, v in trio.recipe.items() if k != "models"} | {"slices": slices}
    found = rows(trio)
    assert found["layer 0"]["mlp"] == [1.0]
    assert found["layer 1"]["mlp"] == [0.5]
    trio.edit_tensors("sft", lambda t: t.pop("model.layers.1.mlp.up_proj.weight"))
    assert "model.layers.1.mlp.up_proj.weight  missing in sft" in trio.check().output


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
    from click.testing import CliRunner

    from rvec_merge.cli import rvec

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


def test_deep_tells_related_donors_from_strangers(trio: Trio) -> None:
    """The trio's donors are random weights of another seed than the target's."""
    text = trio.check("--deep").output
    assert text.count("A donor does not share the target's initialisation.") == 2
    related(trio)
    told = json.loads(trio.check("--deep", "--json").output)
    assert told["ok"]
    assert told["warnings"] == []
    sft = next(c for c in told["closeness"] if c["name"].startswith("sft"))
    assert 0 < sft["distance"] < 0.2
    assert sft["cosine"] > 0.98


def related(trio: Trio) -> None:
    """Make the target from the sft donor: a tenth of another random model on top."""
    from safetensors.torch import load_file

    sft = load_file(trio.folder("sft") / "model.safetensors")
    trio.edit_tensors(
        "target",
        lambda t: t.update({k: (sft[k].float() + 0.1 * v).bfloat16() for k, v in t.items()}),
    )


def test_deep_finds_copies_scaled_weights_and_nan(trio: Trio) -> None:
    from safetensors.torch import load_file

    related(trio)
    target = load_file(trio.folder("target") / "model.safetensors")
    trio.edit_tensors("sft", lambda t: t.update({k: 2 * v for k, v in target.items()}))
    assert "A donor's weights are of another size than the target's." in trio.check("--deep").output
    trio.edit_tensors("sft", lambda t: t.update({k: v.clone() for k, v in target.items()}))
    assert "this extrapolates its own training" in trio.check("--deep").output
    trio.edit_tensors("grpo", lambda t: t.update({k: v.clone() for k, v in target.items()}))
    assert "Two inputs hold the same weights." in trio.check("--deep").output
    trio.edit_tensors("sft", lambda t: t["model.norm.weight"].fill_(float("nan")))
    result = trio.check("--deep")
    assert "model.norm.weight: 32 of 32 sampled values are NaN or Inf" in result.output
    assert result.return_value == 1


def test_deep_sees_a_model_in_a_vectors_place(trio: Trio) -> None:
    related(trio)
    trio.recipe["models"] = [{"model": str(trio.folder("sft")), "parameters": {"role": "vector"}}]
    assert "looks like a model, not like a difference" in trio.check("--deep").output


def test_a_sample_is_spread_over_the_whole_tensor(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from rvec_merge.checkpoint.header import Checkpoint
    from rvec_merge.preflight.deep import RUNS, SAMPLE, sample

    values = torch.arange(3 * SAMPLE + 7, dtype=torch.float32)
    save_file({"a": values}, tmp_path / "model.safetensors")
    got = sample(Checkpoint.open(tmp_path).source("a"))
    assert len(got) == len(set(got.tolist())) == SAMPLE
    assert (got[0], got[-1]) == (0, float(values[-1]))
    gaps = (got[1:] - got[:-1] != 1).sum()
    assert gaps == RUNS - 1


def test_the_stock_command_stops_before_it_writes(trio: Trio) -> None:
    path = trio.root / "recipe.yaml"
    trio.edit_tensors("sft", lambda t: t.pop("model.norm.weight"))
    path.write_text(trio.text())
    program = Path(sys.executable).with_name("mergekit-yaml")
    run = subprocess.run(
        [str(program), str(path), str(trio.out)], capture_output=True, text=True, timeout=300
    )
    assert run.returncode != 0
    assert "model.norm.weight  missing in sft" in run.stderr
    assert not trio.out.exists()
    rvec = Path(sys.executable).with_name("rvec")
    checked = subprocess.run([str(rvec), "check", str(path)], capture_output=True, text=True)
    assert checked.returncode == 1
    assert "model.norm.weight  missing in sft" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_a_run_without_the_recipes_text_is_checked_alike(trio: Trio) -> None:
    import yaml
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    trio.edit_config("sft", rms_norm_eps=1e-5)
    config = MergeConfiguration.model_validate(yaml.safe_load(trio.text()))
    with pytest.raises(RvecError, match="rms_norm_eps: target 1e-06, sft 1e-05"):
        run_merge(config, str(trio.out), MergeOptions(quiet=True))


def test_the_documented_output_is_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from rvec_merge.cli import rvec

    monkeypatch.chdir(REPOSITORY)
    text = (REPOSITORY / "docs/check.md").read_text("utf-8")
    command, told = text.split("```\n$ rvec ")[1].split("```")[0].split("\n", 1)
    printed = CliRunner(env={"COLUMNS": "80"}).invoke(rvec, command.split()).output
    lines = [line.rstrip() for line in printed.splitlines()]
    assert lines[: told.count("\n")] == told.splitlines()
