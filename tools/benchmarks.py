"""The benchmarks we make variants of: which built-in task, what differs, which perturbations fit.

``tools.generate_tasks`` writes the files below eval/tasks from this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rvec_merge.answer.judge import Asked
from rvec_merge.tasks.perturb.spec import GSM_PLUS, KINDS

Perturbations = Mapping[str, Mapping[str, Any]]


class Function(str):
    """A dotted name, written to YAML as ``!function``."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. ``perturbations`` maps a kind to what its ``PerturbationSpec`` says beside it.

    ``overrides`` are lm-eval's keys; ``folder`` is where the files go; without ``plain`` the
    unperturbed tasks are written by hand elsewhere. ``answer``: what the metric of that name reads.
    """

    name: str
    summary: str
    base: str
    folder: str
    data: str | None = None
    cue: str | None = None
    comment: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)
    perturbations: Perturbations = field(default_factory=dict)
    plain: bool = True
    answer: Asked | None = None


# Long enough for worked solutions with self-corrections; lm-eval's default is 256.
_LONG = {"generation_kwargs": {"max_gen_toks": 2048}}
_CHAIN: Perturbations = {kind: {"layout": "chain"} for kind in (*KINDS, *GSM_PLUS)}
_CODE: Perturbations = {
    kind: {"layout": "code", "fields": ["prompt"]} for kind in ("typos", "distractor", "shuffle")
}


def _math(column: str) -> Perturbations:
    return {kind: {"layout": "math", "fields": [column]} for kind in ("typos", "distractor")}


def _regex(name: str, pattern: str, select: int = 0) -> dict[str, Any]:
    search = {"function": "regex", "regex_pattern": pattern, "group_select": select}
    return {"name": name, "filter": [search, {"function": "take_first"}]}


def _code_scoring(complete: str) -> dict[str, Any]:
    scoring = "rvec_merge.tasks.code_scoring"
    metric = Function(f"{scoring}.pass_at_1")
    complete_with = {"function": "custom", "filter_fn": Function(f"{scoring}.{complete}")}
    return {
        "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True}],
        "filter_list": [{"name": "create_test", "filter": [complete_with]}],
        # Not the base's, which cut a chat model's own block; the filter applies those.
        "generation_kwargs": {"until": ["</s>", "<|im_end|>", "<|eot_id|>"]},
    }


_SCIQ: Perturbations = {
    "typos": {
        "fields": ["support", "question"],
        "protect": ["correct_answer", "distractor1", "distractor2", "distractor3"],
    },
    "distractor": {"fields": ["support", "question"]},
    "shuffle": {"fields": ["support"]},
}
_SCIQ_GENERATIVE = {
    "output_type": "generate_until",
    "process_docs": Function("rvec_merge.tasks.lettered_choices.with_choices"),
    "doc_to_text": (
        "{{support.lstrip()}}\nQuestion: {{question}}\n{{choices}}\n"
        'End with "The answer is" and the letter.\nAnswer:'
    ),
    "doc_to_target": "{{letter}}",
    "doc_to_choice": None,
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    "generation_kwargs": {
        "until": ["Question:", "</s>", "<|im_end|>"],
        "do_sample": False,
        "max_gen_toks": 1024,
    },
    "filter_list": [
        _regex("strict-match", r"[Tt]he answer is:?\s*\(?([A-D])\b", -1),
        _regex("flexible-extract", r"(?:^|[\s(*:])([A-D])(?=[).:,*]|\s*$)", -1),
    ],
    "num_fewshot": 0,
    "metadata": {"version": 1.0},
}

GENERAL = (
    Benchmark(
        "gsm8k", "GSM8K, 5-shot", "gsm8k/gsm8k.yaml", "gsm8k", "gsm8k", "\nAnswer:",
        overrides=_LONG, perturbations=_CHAIN,
        answer="number",
    ),
    Benchmark(
        "gsm8k_cot_zeroshot", "GSM8K, zero-shot chain of thought",
        "gsm8k/gsm8k-cot-zeroshot.yaml", "gsm8k", "gsm8k", "\nA: Let's think step by step.",
        overrides=_LONG, perturbations=_CHAIN,
        answer="number",
    ),
    Benchmark(
        "humaneval", "HumanEval, completion", "humaneval/humaneval.yaml", "humaneval", "humaneval",
        comment=True, overrides=_code_scoring("complete"), perturbations=_CODE,
        answer="code",
    ),
    Benchmark(
        "humaneval_instruct", "HumanEval, for chat models", "humaneval/humaneval_instruct.yaml",
        "humaneval", "humaneval",
        overrides=_code_scoring("complete_fenced"), perturbations=_CODE,
        answer="code",
    ),
    Benchmark(
        "sciq", "SciQ, loglikelihood of four choices", "sciq/sciq.yaml", "sciq", "sciq",
        "\nAnswer:", perturbations=_SCIQ,
    ),
    Benchmark(
        "sciq_generative", "SciQ, written answer ending in a letter", "sciq/sciq.yaml", "sciq",
        "sciq", "\nAnswer:", overrides=_SCIQ_GENERATIVE, perturbations=_SCIQ,
        answer="choice",
    ),
    Benchmark(
        "gsm_plus", "GSM-Plus, 5-shot: GSM8K perturbed by its authors", "gsm_plus/gsm_plus.yaml",
        "gsm_plus", "gsm_plus", "\nAnswer:", overrides=_LONG,
        answer="number",
    ),
    Benchmark(
        "gsm_plus_mini", "GSM-Plus, its small split", "gsm_plus/gsm_plus_mini.yaml", "gsm_plus",
        "gsm_plus", "\nAnswer:", overrides=_LONG,
        answer="number",
    ),
    # The built-in compares everything between the first and the last dollar sign; aime's scorer
    # reads \boxed{} first.
    Benchmark(
        "math500", "MATH500, zero-shot, reads \\boxed{}", "hendrycks_math/hendrycks_math500.yaml",
        "math", "math500", "\nAnswer:",
        overrides={
            "process_results": Function("lm_eval.tasks.aime.utils.process_results"),
            "generation_kwargs": {"max_gen_toks": 4096},
        },
        perturbations=_math("problem"),
        answer="math",
    ),
    Benchmark(
        "aime24", "AIME 2024, zero-shot", "aime/aime24.yaml", "math", "aime24", "\nAnswer:",
        perturbations=_math("Problem"),
        answer="number",
    ),
    Benchmark(
        "aime25", "AIME 2025, zero-shot", "aime/aime25.yaml", "math", "aime25", "\nAnswer:",
        perturbations=_math("problem"),
        answer="number",
    ),
    Benchmark(
        "tiny", "word problems of the embedded family", "../tiny/rvec_tiny.yaml", "tiny_perturbed",
        "tiny", plain=False,
        perturbations={
            "typos": {}, "distractor": {}, "shuffle": {"layout": "program"},
            "numeric": {"layout": "program"},
        },
    ),
)  # fmt: skip

_BBH_SUBTASKS = """
boolean_expressions causal_judgement date_understanding disambiguation_qa dyck_languages
formal_fallacies geometric_shapes hyperbaton logical_deduction_five_objects
logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation
multistep_arithmetic_two navigate object_counting penguins_in_a_table
reasoning_about_colored_objects ruin_names salient_translation_error_detection snarks
sports_understanding temporal_sequences tracking_shuffled_objects_five_objects
tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects web_of_lies
word_sorting
"""
BBH_SUBTASKS = tuple(_BBH_SUBTASKS.split())
# Where the wording is no part of what is asked: no word lists, code, quotations or grammar.
_BBH_TYPOS = frozenset(
    name
    for name in BBH_SUBTASKS
    if name.startswith(("logical_deduction", "tracking_shuffled"))
) | {
    "causal_judgement", "date_understanding", "disambiguation_qa", "navigate", "object_counting",
    "penguins_in_a_table", "reasoning_about_colored_objects", "temporal_sequences", "web_of_lies",
}  # fmt: skip
_BBH_DISTRACTOR = _BBH_TYPOS - {
    "date_understanding", "disambiguation_qa", "navigate", "penguins_in_a_table",
    "temporal_sequences",
}  # fmt: skip
_BBH_SHUFFLE = frozenset({"web_of_lies"})

_BBH_NUMBER = frozenset({"multistep_arithmetic_two", "object_counting"})
_BBH_WORDS = frozenset({
    "boolean_expressions", "causal_judgement", "dyck_languages", "formal_fallacies", "navigate",
    "sports_understanding", "web_of_lies", "word_sorting",
})  # fmt: skip

# The built-in "get-answer" loses the last letter of "the answer is False" without a full stop.
# A second filter beside it would change the task hash; another name shows that this is another.
_BBH_ANSWER = {"filter_list": [_regex("answer", r"[Tt]he answer is:?\s+([^\n]*?)\.?\s*(?:\n|$)")]}


def _bbh(shots: str, subtask: str) -> Benchmark:
    text = {"fields": ["input"], "until": "\nOptions:"}
    fits = {"typos": _BBH_TYPOS, "distractor": _BBH_DISTRACTOR, "shuffle": _BBH_SHUFFLE}
    words: Asked = "words" if subtask in _BBH_WORDS else "choice"
    return Benchmark(
        f"bbh_{shots}_{subtask}",
        f"BIG-Bench Hard, {subtask.replace('_', ' ')}",
        f"bbh/{shots}/{subtask}.yaml",
        f"bbh/{shots}",
        f"bbh/{subtask}",
        "\nA: Let's think step by step.",
        overrides=_BBH_ANSWER if shots == "cot_fewshot" else _LONG,
        perturbations={kind: text for kind, subtasks in fits.items() if subtask in subtasks},
        answer="number" if subtask in _BBH_NUMBER else words,
    )


BBH_SHOTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "cot_fewshot": ("3-shot chain of thought", ("answer",)),
    "cot_zeroshot": ("zero-shot chain of thought", ("flexible-extract", "strict-match")),
}
BBH = tuple(_bbh(shots, subtask) for shots in BBH_SHOTS for subtask in BBH_SUBTASKS)
