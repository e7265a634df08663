"""Sample folders as lm-eval itself writes them, from two random tiny models."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rvec_merge.tasks.perturb.items import LABEL, ORIGIN

CHOICE = """\
task: rv_choice_{part}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{prompt}{{{{question}}}} ="
doc_to_choice: ["one", "two"]
doc_to_target: gold
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
"""
GENERATE = """\
task: rv_generate
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}} ="
doc_to_target: "[invalid]"
generation_kwargs: {{until: ["x"], max_gen_toks: 3}}
filter_list:
  - name: strict
    filter: [{{function: regex, regex_pattern: "four"}}, {{function: take_first}}]
  - name: loose
    filter: [{{function: regex, regex_pattern: "([a-z]+)"}}, {{function: take_first}}]
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""
GROUP = """\
group: rv_both
task: [rv_choice_first, rv_choice_second]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]
"""
WORDS = ["one", "two", "three", "four", "plus", "="]
ITEMS = 24
REFUSED = (2, 7)


class Harness:
    """Writes tasks, and runs lm-eval on them with one of two tiny models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models = {name: self._model(seed) for name, seed in (("a", 0), ("b", 1))}

    def _model(self, seed: int) -> Any:
        import torch
        from lm_eval.models.huggingface import HFLM
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

        vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *WORDS])}
        inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=inner, pad_token="<pad>", eos_token="<pad>", unk_token="<unk>"
        )
        torch.manual_seed(seed)
        config = Qwen2Config(
            vocab_size=len(vocabulary), hidden_size=16, intermediate_size=16,
            num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
            max_position_embeddings=64, initializer_range=1.0,
        )  # fmt: skip
        return HFLM(pretrained=Qwen2ForCausalLM(config), tokenizer=tokenizer, batch_size=32)

    def run(
        self, model: str, out: str, tasks: tuple[str, ...] = ("rv_both", "rv_generate"),
        *, prompt: str = "", limit: int | None = None, perturbed: bool = False,
    ) -> Path:  # fmt: skip
        """Evaluate; returns the folder given to lm-eval."""
        from lm_eval import simple_evaluate
        from lm_eval.loggers import EvaluationTracker
        from lm_eval.tasks import TaskManager

        folder = self.root / f"tasks{prompt.strip()}{perturbed}"
        self._write_tasks(folder, prompt, perturbed)
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        tracker = EvaluationTracker(output_path=str(self.root / out))
        results = simple_evaluate(
            self.models[model], tasks=list(tasks), task_manager=manager, limit=limit,
            evaluation_tracker=tracker, log_samples=True, bootstrap_iters=0,
        )  # fmt: skip
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for name in results["configs"]:
            tracker.save_results_samples(task_name=name, samples=samples[name])
        return self.root / out

    def _write_tasks(self, folder: Path, prompt: str, perturbed: bool) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "both.yaml").write_text(GROUP)
        for number, part in enumerate(("first", "second", "generate")):
            drawn = random.Random(number)
            data = folder / f"{part}.json"
            docs = [
                {"question": " ".join(drawn.choices(WORDS, k=6)), "gold": drawn.randrange(2)}
                for _ in range(ITEMS)
            ]
            # Real sets hold the same document more than once.
            docs[5] = docs[3]
            if perturbed:
                docs = [
                    {**doc, "question": doc["question"][::-1], LABEL: "mirror 1 seed 0", ORIGIN: i}
                    for i, doc in enumerate(docs)
                    if i not in REFUSED
                ]
            data.write_text("\n".join(json.dumps(doc) for doc in docs))
            text = GENERATE if part == "generate" else CHOICE
            (folder / f"{part}.yaml").write_text(text.format(part=part, data=data, prompt=prompt))


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Harness:
    """lm-eval with two tiny models and three tasks."""
    return Harness(tmp_path_factory.mktemp("lm_eval"))


@pytest.fixture(scope="session")
def runs(harness: Harness) -> dict[str, Path]:
    """Two models on the same tasks (``a``, ``b``); read-only, shared by the session."""
    return {name: harness.run(name, name) for name in ("a", "b")}
