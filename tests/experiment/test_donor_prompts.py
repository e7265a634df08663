"""Donors under the target's prompts, or each as its folder alone would be evaluated."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from rvec_merge.cli import rvec
from rvec_merge.errors import PlanError
from rvec_merge.experiment.backends.hf import Transformers
from rvec_merge.experiment.conditions import Cell, State
from rvec_merge.experiment.runner import CellRunner, Evaluated
from rvec_merge.experiment.store import CellResult
from rvec_merge.results.read import read_results

REPOSITORY = Path(__file__).resolve().parents[2]
GRPO = Cell("rvec_tiny", State("grpo"))
TARGET = Cell("rvec_tiny", State("target"))
ITEMS = 12


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The family; its GRPO donor has prompts of its own, and a trained head beside a tied one."""
    found = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    donor = shutil.copytree(REPOSITORY / "demo/family/grpo", tmp_path / "grpo")
    template = json.loads((donor / "tokenizer_config.json").read_text())["chat_template"]
    edit(donor / "tokenizer_config.json", chat_template="Own. " + template)
    edit(donor / "generation_config.json", repetition_penalty=1.5)
    tensors = load_file(donor / "model.safetensors")
    config = json.loads((donor / "config.json").read_text())
    if config["tie_word_embeddings"]:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] * 1.25
    save_file(tensors, donor / "model.safetensors", {"format": "pt"})
    found["models"][0]["model"] = str(donor)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(found))
    return tmp_path / "recipe.yaml"


def runner(plan: Path) -> CellRunner:
    from rvec_merge.experiment.run import prepare

    planned = prepare(plan)
    return CellRunner(planned.plan, planned.recipe, planned.book, Transformers("cpu"))


def rows(evaluated: Evaluated, folder: Path) -> list[tuple[str, Any, str]]:
    """What was asked, with which settings, and what was answered."""
    folder.mkdir()
    for name, content in evaluated.files.items():
        (folder / name).write_bytes(content)
    found = CellResult("", "", "", {}, folder).samples()
    return [asked(row) for row in found]


def asked(row: dict[str, Any]) -> tuple[str, Any, str]:
    arguments = row["arguments"]
    first = arguments["gen_args_0"] if isinstance(arguments, dict) else None
    prompt, settings = (first["arg_0"], first["arg_1"]) if first else arguments[0]
    return prompt, settings, row["resps"][0][0]


def by_lm_eval(folder: Path, plan: CellRunner) -> list[tuple[str, Any, str]]:
    """Stock lm-eval on a folder alone. Its HF model ties a stored head again; this one does not."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.tie_weights = lambda: None
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=plan.plan.batch_size),
        tasks=list(plan.book.tasks("rvec_tiny").values()),
        task_manager=plan.book.manager("rvec_tiny"),
        limit=ITEMS,
        apply_chat_template=True,
        bootstrap_iters=0,
    )
    return [asked(row) for row in found["samples"]["rvec_tiny"]]


def test_own_prompts_are_those_of_the_folder_alone(
    recipe: Path, plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    changes = {"recipe": str(recipe), "limit": ITEMS}
    own = runner(plan_file(**changes, donors="own_prompts"))
    expected = by_lm_eval(recipe.parent / "grpo", own)
    assert all("Own." in prompt for prompt, _, _ in expected)
    before = rows(own.run(TARGET), tmp_path / "before")
    assert rows(own.run(GRPO), tmp_path / "own") == expected
    # The target has its place back, and its own prompts.
    assert rows(own.run(TARGET), tmp_path / "after") == before
    assert not any("Own." in prompt for prompt, _, _ in before)
    targets = rows(runner(plan_file(**changes, donors=True)).run(GRPO), tmp_path / "targets")
    assert [prompt for prompt, _, _ in targets] == [prompt for prompt, _, _ in before]
    assert [answer for *_, answer in targets] != [answer for *_, answer in expected]


def test_a_donor_that_is_the_target_is_not_what_the_target_became(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    found = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    found["models"][1]["model"] = found["base_model"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(found))
    changes = {"recipe": str(tmp_path / "recipe.yaml"), "limit": ITEMS, "donors": "own_prompts"}
    own = runner(plan_file(**changes))
    before = rows(own.run(TARGET), tmp_path / "before")
    own.run(Cell("rvec_tiny", State("vector", 1.0)))
    assert rows(own.run(Cell("rvec_tiny", State("sft"))), tmp_path / "after") == before


def test_a_stored_head_is_not_tied_by_lm_eval(recipe: Path, plan_file: Callable[..., Path]) -> None:
    planned = runner(plan_file(recipe=str(recipe))).plan
    resident = Transformers("cpu").load(recipe.parent / "grpo", planned, None)
    stored = load_file(recipe.parent / "grpo/model.safetensors")
    assert torch.equal(resident.model.lm_head.weight, stored["lm_head.weight"].float())


@pytest.mark.parametrize(
    ("donors", "says"),
    [(True, "donors: own_prompts takes their own"), ("own_prompts", "evaluated with its own")],
)
def test_a_dry_run_says_what_differs(
    donors: Any, says: str, recipe: Path, plan_file: Callable[..., Path]
) -> None:
    plan = plan_file(recipe=str(recipe), donors=donors)
    done = CliRunner().invoke(rvec, ["experiment", str(plan), "--dry-run"])
    assert "  grpo: chat template another\n" in done.output
    assert "  grpo: generation_config.repetition_penalty 1.5, target (none)\n" in done.output
    assert says in done.output
    assert "sft:" not in done.output


def test_a_plan_without_donors_is_not_warned(recipe: Path, plan_file: Callable[..., Path]) -> None:
    plan = plan_file(recipe=str(recipe), donors=False)
    done = CliRunner().invoke(rvec, ["experiment", str(plan), "--dry-run"])
    assert done.exit_code == 0
    assert "Warning" not in done.output


def test_donors_of_several_pairs_are_refused_before_anything_runs(
    plan_file: Callable[..., Path], tmp_path: Path
) -> None:
    found = yaml.safe_load((REPOSITORY / "recipes/tiny.yaml").read_text())
    found["models"] += [
        {"model": f"org/{role}", "parameters": {"role": role, "pair": "second"}}
        for role in ("grpo", "sft")
    ]
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(found))
    with pytest.raises(PlanError, match="The recipe has 2 sft donors"):
        runner(plan_file(recipe=str(tmp_path / "two.yaml"), donors=True))


def test_the_findings_say_which(
    recipe: Path,
    plan_file: Callable[..., Path],
    tmp_path: Path,
    local: Callable[[Path, Path], Any],
) -> None:
    few = {"scales": [1.0], "forced_steps": False, "perturbations": [], "limit": ITEMS}
    out = tmp_path / "out"
    log = local(plan_file(recipe=str(recipe), donors=True, **few), out)
    assert len(log.begun) == 5
    assert json.loads((out / "summary.json").read_text())["donors"] == "target_prompts"
    assert "Donors were evaluated with the target's tokenizer" in (out / "summary.md").read_text()
    # Another choice runs the donors again, and nothing else.
    log = local(plan_file(recipe=str(recipe), donors="own_prompts", **few), out)
    assert [cell.state.kind for cell in log.begun] == ["sft", "grpo"]
    assert json.loads((out / "summary.json").read_text())["donors"] == "own_prompts"
    assert "with its own tokenizer" in (out / "summary.md").read_text()
    # What was written before there was a choice is read as what was done then.
    summary = json.loads((out / "summary.json").read_text())
    del summary["donors"]
    (out / "summary.json").write_text(json.dumps(summary))
    head = json.loads((out / "experiment.json").read_text())
    head["plan"]["donors"] = True
    (out / "experiment.json").write_text(json.dumps(head))
    assert read_results(out).plan.donors == "target_prompts"
