"""Model cards: valid by huggingface_hub's own readers, and a person's words are kept."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCard, parse_eval_result_entries

from rvec_merge.cli.card import command
from rvec_merge.errors import CheckpointError, ResultsError
from rvec_merge.report.card import FIGURE, write_card
from rvec_merge.report.results import Results, read_results
from tests.hub.conftest import over_http
from tests.hub.state import Hub

from .conftest import family, refile

PROSE = """\
---
license: mit
tags: [mergekit, my-own-tag]
base_model: []
model-index:
- name: mine
  results:
  - task: {type: text-generation}
    dataset: {name: Another set, type: org/another}
    metrics: [{type: acc, value: 12.5}]
---

# My model

Words of *mine*, with `code`.

<!-- rvec card: begin -->
old numbers
<!-- rvec card: end -->

## After

More words.
"""


@pytest.fixture
def model(results: Results, tmp_path: Path) -> Path:
    """A folder that says it was merged from the experiment's recipe."""
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "mergekit_config.yml").write_text(results.recipe)
    return folder


def on_the_hub(copy: Path, model: Path, limit: int | None) -> Results:
    """The experiment, as if its models and one of its tasks were the Hub's."""
    head = json.loads((copy / "experiment.json").read_text())
    head["recipe"] = head["recipe"].replace("demo/family/", "org/")
    head["plan"]["limit"] = limit
    (copy / "experiment.json").write_text(json.dumps(head))
    (model / "mergekit_config.yml").write_text(head["recipe"])
    for path in (copy / "cells").glob("*/results_*.json"):
        recorded = json.loads(path.read_text())
        for name, config in recorded["configs"].items():
            if name == "rvec_tiny":
                config |= {"dataset_path": "openai/gsm8k", "dataset_name": "main"}
        path.write_text(json.dumps(recorded))
        refile(path.parent)
    return read_results(copy)


def test_a_new_card_is_valid_and_says_what_was_found(results: Results, model: Path) -> None:
    written = write_card(results, model)
    card = ModelCard((model / "README.md").read_text())
    for verdict in results.summary.verdicts:
        assert verdict.sentence in card.text
    prompts = "Donors were evaluated with the target's tokenizer"
    for part in ("### Limits", "### Recipe", results.recipe.strip(), f"]({FIGURE})", prompts):
        assert part in card.text
    assert (model / FIGURE).read_bytes().startswith(b"\x89PNG")
    assert card.data.license == "apache-2.0"  # what all three inputs state
    assert card.data["arxiv"] == ["2509.01363"]
    assert {"reasoning-vector", "mergekit", "merge"} <= set(card.data.tags)
    shown = {(r.dataset_name, r.metric_name): r for r in card.data.eval_results}
    row = next(r for r in results.summary.rows if r.cell.condition == "target + 0.5 vector")
    result = shown["rvec_tiny", "exact_match, plain prompt"]
    assert result.metric_value == pytest.approx(100 * row.level.mean, abs=1e-4)
    assert result.metric_args["n"] == 32
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")
    assert not (model / ".eval_results").exists()


def test_what_a_person_wrote_is_kept(results: Results, model: Path) -> None:
    (model / "README.md").write_text(PROSE)
    for _ in range(2):  # a second run changes nothing
        write_card(results, model)
        text = (model / "README.md").read_text()
        card = ModelCard(text)
        before, _, rest = card.text.partition("<!-- rvec card: begin -->")
        assert before == PROSE.split("---\n", 2)[2].split("<!--")[0]
        assert rest.partition("<!-- rvec card: end -->")[2] == "\n\n## After\n\nMore words.\n"
        assert "old numbers" not in text
        assert card.data.license == "mit"
        assert card.data.tags[:2] == ["mergekit", "my-own-tag"]
        assert card.data.model_name == "mine"
        names = [r.dataset_name for r in card.data.eval_results]
        assert names == ["Another set", "rvec_tiny", "rvec_sciq"]


EVAL = """\
name: GSM8K
evaluation_framework: inspect-ai
tasks:
  - {id: gsm8k_main, config: main, split: test, scorers: [{name: match}]}
  - {id: gsm8k_socratic, config: socratic}
"""


@over_http
def test_the_hub_gets_bases_licences_and_result_files(hub: Hub, copy: Path, model: Path) -> None:
    for name in ("target", "grpo", "sft"):
        hub.put(f"org/{name}", {"README.md": b"---\nlicense: mit\n---\n"})
    hub.put("datasets/openai/gsm8k", {"eval.yaml": EVAL.encode()})
    results = on_the_hub(copy, model, limit=None)
    written = write_card(results, model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert card.data["base_model_relation"] == "merge"
    assert card.data.datasets is None  # those a model was trained on
    assert card.data.license == written.license == "mit"
    assert "Licence: the inputs" not in card.text
    (path,) = (model / ".eval_results").iterdir()
    assert path in written.paths
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (entry.dataset_id, entry.task_id) == ("openai/gsm8k", "gsm8k_main")
    row = next(r for r in results.summary.rows if r.cell.condition == "target + 0.5 vector")
    assert entry.value == pytest.approx(100 * row.level.mean, abs=1e-4)
    assert "n = 32" in entry.notes
    assert written.off_hub == ("rvec_sciq",)


@over_http
@pytest.mark.parametrize(
    "stated",
    [
        None,
        "name: no tasks",
        "tasks: [{id: a, config: socratic, split: test}, {id: b, config: main, split: train}]",
        "tasks: [{id: a}]",  # the dataset's default configuration, which nobody here knows
        "tasks: [{id: a, config: main}, {id: b, config: main}]",
        "tasks: {id: a}",
        "- [a",
        "tasks: [main, {id: 3, config: main}]",
    ],
)
def test_what_is_no_benchmark_gets_no_result_file(
    hub: Hub, copy: Path, model: Path, stated: str | None
) -> None:
    hub.put("datasets/openai/gsm8k", {"eval.yaml": stated.encode()} if stated else {"x": b""})
    written = write_card(on_the_hub(copy, model, limit=None), model)
    assert not (model / ".eval_results").exists()
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")


def test_without_the_hub_the_card_says_what_it_does_not_know(copy: Path, model: Path) -> None:
    written = write_card(on_the_hub(copy, model, limit=None), model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert card.data.license is None
    assert "Licence: the inputs" in card.text
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")


def test_bases_are_plain_ids(copy: Path, model: Path) -> None:
    results = on_the_hub(copy, model, limit=None)
    for path in (copy / "experiment.json", model / "mergekit_config.yml"):
        path.write_text(path.read_text().replace("org/grpo", f"org/grpo@{'0' * 40}"))
    write_card(read_results(copy), model)
    card = ModelCard((model / "README.md").read_text())
    assert card.data.base_model == ["org/target", "org/grpo", "org/sft"]
    assert f"org/grpo@{'0' * 40}" in card.text
    assert results.recipe not in card.text


def test_a_part_of_a_dataset_is_not_passed_off_as_the_whole(copy: Path, model: Path) -> None:
    write_card(on_the_hub(copy, model, limit=32), model)
    assert not (model / ".eval_results").exists()
    assert ModelCard((model / "README.md").read_text()).data.datasets is None


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("scale: 0.5", "scale: 1.0", "scale: 1 in the model, 0.5 in the results"),
        ("demo/family/grpo", "demo/family/other-init/grpo", "models:"),
        ("demo/family/target", "demo/family/sft-base", "base_model:"),
    ],
)
def test_numbers_of_another_merge_are_refused(
    results: Results, model: Path, old: str, new: str, fact: str
) -> None:
    config = model / "mergekit_config.yml"
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ResultsError, match="another merge") as raised:
        write_card(results, model)
    assert any(line.startswith(fact) for line in raised.value.facts)
    assert [p.name for p in model.iterdir()] == ["mergekit_config.yml"]


def test_numbers_of_other_weights_at_the_same_place_are_refused(
    results: Results, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A donor that was trained on, in the folder of the one that was evaluated."""
    family(tmp_path)
    monkeypatch.chdir(tmp_path)
    shutil.copy("demo/family/sft/model.safetensors", "demo/family/grpo/model.safetensors")
    with pytest.raises(ResultsError, match="no longer the one") as raised:
        write_card(results, model)
    assert raised.value.facts == ("demo/family/grpo",)
    assert [p.name for p in model.iterdir()] == ["mergekit_config.yml"]


def test_a_folder_that_is_no_merge_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="merged from"):
        write_card(results, tmp_path)


@pytest.mark.parametrize("head", ["- a\n- list", "model-index: [{results: 3}]", "tags: [unclosed"])
def test_a_broken_head_is_told_and_left_alone(results: Results, model: Path, head: str) -> None:
    broken = f"---\n{head}\n---\n\nMy words.\n"
    (model / "README.md").write_text(broken)
    with pytest.raises(ResultsError, match="card"):
        write_card(results, model)
    assert (model / "README.md").read_text() == broken
    assert not (model / FIGURE).exists()


def test_the_command_tells_what_it_wrote(folder: Path, model: Path) -> None:
    done = CliRunner().invoke(command, [str(folder), str(model)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        str(model / FIGURE),
        str(model / "README.md"),
        "No .eval_results file for rvec_tiny, rvec_sciq: "
        "not measured on a whole benchmark of the Hub, or the Hub did not answer.",
    ]
