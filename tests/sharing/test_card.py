"""What the cards of pushed repos say, by the readers that the Hub and transformers have."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from rvec_merge.hub.recipes import open_recipe
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.vectors import open_donors
from rvec_merge.merge.prepare import fetch_inputs
from rvec_merge.merge.run import merge
from rvec_merge.sharing.card import pipeline_tag
from rvec_merge.sharing.pull import pull
from rvec_merge.sharing.push import prepare, push
from rvec_merge.vector.extract import extract_compact
from tests.hub.conftest import over_http
from tests.hub.state import Hub

PAPER = "arxiv:2509.01363"


def card(hub: Hub, repo_id: str) -> tuple[dict[str, Any], str]:
    """Metadata and text of what a repo shows."""
    found = ModelCard(hub.files(repo_id)["README.md"].decode())
    return found.data.to_dict(), found.text


@over_http
def test_a_recipe_is_for_its_target(hub: Hub, shared, recipe_file: Path):
    push(prepare("recipe", recipe_file, "me/recipe", license="mit"))
    data, text = card(hub, "me/recipe")
    assert data["license"] == "mit"
    assert data["library_name"] == "rvec-merge"
    assert data["base_model"] == ["org/target"]
    assert data["base_model_relation"] == "adapter"
    assert data["tags"] == ["reasoning-vector", "mergekit", "rvec-recipe", PAPER]
    assert "pipeline_tag" not in data
    order = [text.index(f"org/{n}) at commit `{shared[n]}`, apache-2.0") for n in shared]
    assert order[0] == min(order)  # the target first


def test_a_vector_is_for_the_donor_it_moves_and_is_no_model(
    hub: Hub, shared, recipe_file: Path, tmp_path: Path
):
    from transformers import AutoModelForCausalLM

    donors = open_donors("org/grpo", "org/sft")
    extract_compact(donors, tmp_path / "v", shard_size=10**9)
    push(prepare("vector", tmp_path / "v", "me/vector", license="mit"))
    data, text = card(hub, "me/vector")
    assert data["base_model"] == ["org/sft"]
    assert data["base_model_relation"] == "adapter"
    assert data["library_name"] == "rvec-merge"
    assert data["tags"] == ["reasoning-vector", "mergekit", "rvec-vector", PAPER]
    assert "pipeline_tag" not in data
    for name in ("grpo", "sft"):
        assert f"org/{name}) at commit `{shared[name]}`, apache-2.0" in text
    # What the card says of loading it, and how to have it dense, is so.
    assert "`from_pretrained` ends with an error" in text
    pull(HubReference("me/vector"), tmp_path / "pulled")
    with pytest.raises((OSError, RuntimeError)):
        AutoModelForCausalLM.from_pretrained(tmp_path / "pulled")
    (command,) = [line for line in text.splitlines() if "--format dense" in line]
    assert_runs(command, tmp_path)
    assert (tmp_path / "dense" / "model.safetensors").is_file()


def assert_runs(command: str, folder: Path) -> None:
    from click.testing import CliRunner

    from rvec_merge.cli import rvec

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(rvec, command.split()[1:])
    assert done.exit_code == 0, done.output


@pytest.fixture
def merged_from_hub(hub: Hub, shared, recipe_file: Path, tmp_path: Path) -> Path:
    from rvec_merge.merge.settings import Settings

    recipe = open_recipe(recipe_file)
    fetch_inputs(recipe, tmp_path / "merged", Settings())
    merge(recipe, tmp_path / "merged")
    return tmp_path / "merged"


@over_http
def test_a_merge_is_a_model_that_transformers_loads(hub: Hub, merged_from_hub: Path):
    push(prepare("merge", merged_from_hub, "me/merge", license="mit"))
    data, text = card(hub, "me/merge")
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "text-generation"
    assert data["base_model"] == ["org/target", "org/grpo", "org/sft"]
    assert data["base_model_relation"] == "merge"
    assert {"merge", "mergekit", "reasoning-vector", "rvec-merge", PAPER} == set(data["tags"])
    assert "effective scale" in text


@over_http
def test_what_a_person_says_of_a_merge_is_kept(hub: Hub, merged_from_hub: Path):
    readme = merged_from_hub / "README.md"
    readme.write_text("---\nlicense: mit\npipeline_tag: feature-extraction\n---\n\nMine.\n")
    push(prepare("merge", merged_from_hub, "me/merge"))
    data, text = card(hub, "me/merge")
    assert data["pipeline_tag"] == "feature-extraction"
    assert data["library_name"] == "transformers"
    assert text.strip() == "Mine."


@over_http
def test_folders_are_no_base_models(hub: Hub, merged: Path, vector: Path):
    for kind, folder in (("merge", merged), ("vector", vector)):
        upload = prepare(kind, folder, "me/x", license="mit")
        assert "base_model" not in ModelCard(upload.files["README.md"]).data.to_dict()
        assert len(upload.local) == (3 if kind == "merge" else 2)


@pytest.mark.parametrize(
    ("model_type", "architecture", "task"),
    [
        ("qwen2", "Qwen2ForCausalLM", "text-generation"),
        ("gemma3_text", "Gemma3ForCausalLM", "text-generation"),
        ("gemma3", "Gemma3ForConditionalGeneration", "image-text-to-text"),
        ("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", "image-text-to-text"),
        ("phi4_multimodal", "Phi4MultimodalForCausalLM", None),
        ("qwen2", "Qwen2ForSequenceClassification", None),
        ("no_such", "NoSuchForCausalLM", None),
        (None, None, None),
        (["qwen2"], ["Qwen2ForCausalLM"], None),
    ],
)
def test_what_a_model_is_for(tmp_path: Path, model_type, architecture, task):
    config = {"model_type": model_type, "architectures": [architecture]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert pipeline_tag(tmp_path) == task


def test_without_a_config_nobody_knows(tmp_path: Path):
    assert pipeline_tag(tmp_path) is None
    (tmp_path / "config.json").write_text('{"architectures": 3}')
    assert pipeline_tag(tmp_path) is None


@over_http
def test_a_vector_whose_sft_donor_is_a_folder_has_no_base_model(
    hub: Hub, shared, triple, tmp_path: Path
):
    donors = open_donors("org/grpo", str(triple["sft"]))
    extract_compact(donors, tmp_path / "v", shard_size=10**9)
    upload = prepare("vector", tmp_path / "v", "me/vector", license="mit")
    assert upload.local == (str(triple["sft"]),)
    assert "base_model" not in ModelCard(upload.files["README.md"]).data.to_dict()
    assert "org/grpo" in upload.files["README.md"]
