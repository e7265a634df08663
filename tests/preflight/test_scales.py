"""The table of scales: what gets which, in as few rows as say it."""

import json
import shutil
from pathlib import Path

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
