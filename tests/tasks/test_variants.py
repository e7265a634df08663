"""Variants against the built-in tasks they stand on, on the same local items."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
from lm_eval import simple_evaluate
from lm_eval.api.task import ConfigurableTask
from lm_eval.loggers import EvaluationTracker
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.utils import env

from rvec_merge.errors import TaskError
from rvec_merge.tasks.harness import fast_templates
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.tasks_index import list_tasks
from rvec_merge.tasks.variant_config import BUILT_IN
from rvec_merge.tasks.variants import Variant, load_variant, task_manager

THINK = "Think step by step."


class BuiltIn(ConfigurableTask):
    """A built-in task whose items come from our sample files; nothing else of it is changed."""

    def __init__(self, path: str, data: str, **scoring: Any) -> None:
        self.items = data
        config = load_yaml(BUILT_IN / path, resolve_func=not scoring)
        super().__init__(config={k: v for k, v in {**config, **scoring}.items() if k != "tag"})

    def download(self, dataset_kwargs: Any = None, **_: Any) -> None:
        splits = (sample_data() / self.items).glob("*.jsonl")
        self.dataset = datasets.DatasetDict(
            {path.stem: datasets.Dataset.from_list(read_items(path)) for path in splits}
        )


def prompts(task: ConfigurableTask, limit: int = 10) -> list[Any]:
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=limit)
    return [(i.doc, i.arguments[0], task.doc_to_target(i.doc)) for i in task.instances]


METRIC = {"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}


@pytest.mark.parametrize(
    ("name", "path", "data", "scoring"),
    [
        ("rvec_gsm8k_cot_zeroshot", "gsm8k/gsm8k-cot-zeroshot.yaml", "gsm8k", {}),
        ("rvec_gsm_plus", "gsm_plus/gsm_plus.yaml", "gsm_plus", {}),
        ("rvec_gsm_plus_mini", "gsm_plus/gsm_plus_mini.yaml", "gsm_plus", {}),
        ("rvec_math500", "hendrycks_math/hendrycks_math500.yaml", "math500", {}),
        ("rvec_aime24", "aime/aime24.yaml", "aime24", {}),
        ("rvec_aime25", "aime/aime25.yaml", "aime25", {}),
        ("rvec_bbh_cot_zeroshot_navigate", "bbh/cot_zeroshot/navigate.yaml", "bbh/navigate", {}),
        # The built-in's own scorer is fetched from the hub when it is imported.
        ("rvec_humaneval", "humaneval/humaneval.yaml", "humaneval",
         {"metric_list": [METRIC], "filter_list": None}),
        ("rvec_humaneval_instruct", "humaneval/humaneval_instruct.yaml", "humaneval",
         {"metric_list": [METRIC], "filter_list": None}),
    ],
)  # fmt: skip
def test_plain_variants_ask_what_the_built_in_asks(
    name: str, path: str, data: str, scoring: dict[str, Any]
) -> None:
    assert prompts(load_variant(name)) == prompts(BuiltIn(path, data, **scoring))


@pytest.fixture(scope="module")
def model(byte_model: Path) -> HFLM:
    return HFLM(pretrained=str(byte_model), device="cpu")


def evaluate(model: HFLM, tasks: list[Any], out: Path, **options: Any) -> dict[str, Any]:
    """Evaluate and return lm-eval's own results file."""
    tracker = EvaluationTracker(output_path=str(out))
    results = simple_evaluate(
        model, tasks=tasks, limit=2, bootstrap_iters=0, evaluation_tracker=tracker,
        gen_kwargs={"max_gen_toks": 4}, task_manager=task_manager(), **options,
    )  # fmt: skip
    tracker.save_results_aggregated(results=results, samples=results["samples"])
    (path,) = out.rglob("results_*.json")
    return json.loads(path.read_text())


def test_task_hashes_are_the_built_ins(model: HFLM, tmp_path: Path) -> None:
    twins = {
        "rvec_gsm8k": BuiltIn("gsm8k/gsm8k.yaml", "gsm8k"),
        "rvec_sciq": BuiltIn("sciq/sciq.yaml", "sciq"),
        "rvec_bbh_cot_fewshot_web_of_lies": BuiltIn(
            "bbh/cot_fewshot/web_of_lies.yaml", "bbh/web_of_lies"
        ),
    }
    ours = [*twins, "rvec_gsm8k_think", "rvec_sciq_typos"]
    hashes = evaluate(model, [*ours, *twins.values()], tmp_path)["task_hashes"]
    for name, built_in in twins.items():
        assert hashes[name] == hashes[built_in.config.task]
    assert hashes["rvec_gsm8k_think"] != hashes["rvec_gsm8k"]
    assert hashes["rvec_sciq_typos"] != hashes["rvec_sciq"]


def test_results_say_what_a_variant_is(model: HFLM, tmp_path: Path) -> None:
    name = "rvec_gsm8k_think_numeric"
    results = evaluate(model, [name], tmp_path)
    metadata = results["configs"][name]["metadata"]
    assert metadata["base"] == "gsm8k"
    assert metadata["base_version"] == results["versions"][name] == 3.0
    assert metadata["prompt"] == "think"
    assert metadata["perturbation"] == "numeric v2 seed 0"
    assert set(metadata["data_sha256"]) == {"train", "test"}
    assert results["configs"][name]["process_docs"] == "Perturb(numeric v2 seed 0)"
    assert results["configs"][name]["generation_kwargs"]["max_gen_toks"] == 4


def test_code_needs_the_opt_in(model: HFLM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="confirm_run_unsafe_code"):
        evaluate(model, ["rvec_humaneval_think"], tmp_path)
    results = evaluate(model, ["rvec_humaneval_think"], tmp_path, confirm_run_unsafe_code=True)
    assert results["results"]["rvec_humaneval_think"]["pass@1,create_test"] == 0.0


@pytest.mark.parametrize("name", ["rvec_humaneval_typos", "rvec_humaneval_instruct_think_typos"])
def test_the_executed_program_holds_neither_the_perturbation_nor_the_comment(name: str) -> None:
    task = load_variant(name)
    task.set_fewshot_seed(0)
    task.build_all_requests(limit=3)
    for instance in task.instances:
        assert instance.doc["shown_prompt"] in instance.arguments[0]
        assert instance.doc["prompt"] not in instance.arguments[0]
        instance.resps = [instance.doc["canonical_solution"]]
    task.apply_filters()
    for instance in task.instances:
        (programs,) = instance.filtered_resps.values()
        assert programs == [instance.doc["prompt"] + instance.doc["canonical_solution"]]
        scored = task.process_results(instance.doc, [programs])
        assert (scored["pass@1"], scored["answer"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("rvec_gsm8k_think", f"\n{THINK}\nAnswer:"),
        ("rvec_gsm8k_cot_zeroshot_think", f"\n{THINK}\nA: Let's think step by step."),
        ("rvec_sciq_think_typos", f"\n{THINK}\nAnswer:"),
        ("rvec_sciq_generative_think", f"\n{THINK}\nAnswer:"),
        ("rvec_math500_think", f"\n{THINK}\nAnswer:"),
        ("rvec_bbh_cot_fewshot_navigate_think", f"\n{THINK}\nA: Let's think step by step.\n"),
    ],
)
def test_think_is_in_the_users_turn(name: str, ending: str) -> None:
    task = load_variant(name)
    seen: list[list[dict[str, str]]] = []

    def template(messages: list[dict[str, str]], **_: Any) -> str:
        seen.append(messages)
        return "".join(message["content"] for message in messages)

    task.set_fewshot_seed(0)
    task.build_all_requests(
        limit=1, apply_chat_template=True, fewshot_as_multiturn=True, chat_template=template
    )
    users = [message["content"] for message in seen[0] if message["role"] == "user"]
    others = [message["content"] for message in seen[0] if message["role"] != "user"]
    assert len(users) == 1 + (task.config.num_fewshot or 0)
    assert all(text.endswith(ending.rstrip()) or text.endswith(ending) for text in users)
    assert not any(THINK in text for text in others)


@pytest.mark.parametrize(
    "name", ["rvec_gsm8k_think_typos", "rvec_gsm8k_numeric", "rvec_bbh_cot_fewshot_navigate_typos"]
)
def test_few_shots_stay_clean(name: str) -> None:
    task = load_variant(name)
    clean = load_variant(name.rpartition("_")[0])
    assert list(task.fewshot_docs()) == list(clean.fewshot_docs())
    assert len(list(task.eval_docs)) <= len(list(clean.eval_docs))


def test_few_shots_stay_clean_where_lm_eval_chooses_the_split() -> None:
    task = load_variant("rvec_sciq_typos")
    assert list(task.fewshot_docs()) == read_items(sample_data() / "sciq" / "train.jsonl")


def test_a_clean_twin_of_a_perturbed_item_is_never_a_few_shot() -> None:
    with pytest.raises(TaskError, match="cannot draw its few-shots"):
        Variant({
            "task": "leaking", "base": "gsm_plus/gsm_plus.yaml", "data": "gsm_plus",
            "perturbation": {"kind": "typos"},
        })  # fmt: skip


def test_the_mended_filter_reads_an_answer_without_a_full_stop() -> None:
    task = load_variant("rvec_bbh_cot_fewshot_boolean_expressions")

    def read(text: str) -> str:
        task.set_fewshot_seed(0)
        task.build_all_requests(limit=1)
        task.instances[0].resps = [text]
        task.apply_filters()
        return task.instances[0].filtered_resps["answer"]

    for text in ("So the answer is False", "So the answer is False.", "The answer is False.\nQ"):
        assert read(text) == "False"


def test_math500_reads_a_boxed_answer() -> None:
    task = load_variant("rvec_math500")
    (item,) = [row for row in task.eval_docs if row["answer"] == "\\frac{5}{6}"]
    text = "First $4/6$, then $1/6$. So it is $\\boxed{\\frac{5}{6}}$."
    assert task.process_results(item, [text]) == {"exact_match": 1}


def test_numeric_gold_is_what_is_scored() -> None:
    task = load_variant("rvec_gsm8k_numeric")
    clean = load_variant("rvec_gsm8k")
    for row in task.eval_docs:
        gold = row["answer"].rpartition("#### ")[2]
        old = clean.eval_docs[row["orig_id"]]["answer"].rpartition("#### ")[2]
        assert task.process_results(row, [gold]) == {"exact_match": 1.0}
        if old != gold:
            assert task.process_results(row, [old]) == {"exact_match": 0.0}


def test_the_embedded_family_can_be_perturbed_too() -> None:
    for name in ("rvec_tiny_typos", "rvec_tiny_think_distractor", "rvec_tiny_shuffle"):
        task = load_variant(name)
        assert len(task.eval_docs) > 500
    assert prompts(load_variant("rvec_tiny_think_numeric"), 1)[0][1].endswith(f"?\n{THINK}")


def test_the_index_is_of_our_tasks_alone() -> None:
    manager = task_manager()
    assert sorted(manager.all_tasks) == [entry.name for entry in list_tasks()]
    assert len(manager.all_groups) == 12


def test_unknown_names_are_an_error() -> None:
    for name in ("gsm8k", "rvec_bbh_cot_fewshot", "rvec_gsm8k_shouted", "rvec_tiny"):
        with pytest.raises(TaskError, match="no task variant"):
            load_variant(name)


def test_another_seed_gives_another_set() -> None:
    first, second = load_variant("rvec_gsm8k_typos"), load_variant("rvec_gsm8k_typos", seed=7)
    assert second.config.metadata["perturbation"] == "typos v2 seed 7"
    assert list(first.eval_docs) != list(second.eval_docs)


def test_templates_are_compiled_once_and_prompts_stay_the_same() -> None:
    task = BuiltIn("gsm8k/gsm8k.yaml", "gsm8k")
    plain = prompts(task)
    with fast_templates():
        assert env.from_string("{{a}}") is env.from_string("{{a}}")
        assert prompts(task) == plain
    assert env.from_string("{{a}}") is not env.from_string("{{a}}")
