"""Write docs/perturbations.md: ``python -m tools.document_perturbations``.

Examples and shares come from the shipped sample items; ``--check`` fails if the page is stale.
"""

import sys
from collections.abc import Iterator
from typing import Any

from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.benchmarks import BBH, GENERAL, Benchmark
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb import (
    GENERATOR_VERSION,
    KINDS,
    ORIGIN,
    SHOWN,
    PerturbationSpec,
    realise,
)
from rvec_merge.tasks.perturb.distractor import NOBODY, SENTENCES
from rvec_merge.tasks.perturb.numeric import ATTEMPTS, FACTORS
from rvec_merge.tasks.perturb.typos import RATE, SHORTEST

_INTRODUCTION = f"""\
<!-- Written by `python -m tools.document_perturbations`; do not edit. -->
# Perturbations

A perturbed task asks the same questions in another form, to see whether an ability survives it.
Five kinds, generator version {GENERATOR_VERSION}. Each keeps the answer or computes it again.

**Seeded.** An item's randomness comes from (seed, kind, the item's own text) alone: the same on
every machine, in every order, with any subset. **Few-shots stay clean.** **Refused items are left
out**, never passed through unchanged: a perturbed set holds perturbed items only, and each row has
`orig_id`, its row in the clean set. `rvec compare CLEAN PERTURBED --different-prompts
--common-items` pairs by it, on the items that both have. The column `perturbation` says kind,
generator version and seed.

`rvec perturb TASK OUT` writes a task's perturbed items with seed, version and yield; evaluating
with `RVEC_EVAL_DATA=OUT` uses those items as they are, also with a later generator.
"""

_DEFINITIONS = {
    "typos": f"""\
Every lower-case word of {SHORTEST} letters or more gets, with probability {RATE:g}, one typing
error inside it: two neighbouring letters swapped, one letter dropped, or a neighbouring key of a
QWERTY keyboard. At least one word of each item has one. First and last letters stay. Never touched:
digits, number words and amounts ("dozen", "half", "percent"), anything capitalised, quoted text,
words with digits, underscores, apostrophes or hyphens, formulas, answer choices and every word that
occurs in them. An error that gives a word the item already has is drawn again. It may happen to
give another English word.""",
    "distractor": f"""\
One irrelevant sentence with a number from the list below. Its subject is the item's first name
("{NOBODY}" if none is found); its number, 3 to 98, is none of the item's; a sentence is used only
if none of its topic words occurs in the item. It goes before any sentence that does not refer back,
never after the last.

{{sentences}}""",
    "shuffle": """\
All sentences but the last, which asks, in another order than they came. Refused: fewer than two
sentences before the last; a question before the last; a sentence with a pronoun, an order word or a
share ("then", "the rest", "half"), or "the box" where another sentence has "a box"; a last sentence
that points back.""",
    "numeric": f"""\
Every whole number of the question from 2 up becomes another one between half and twice its value;
equal numbers change alike. Percentages, decimals, fractions, dates, times, ordinals and numbers in
names stay. The answer is computed through the worked solution's `<<expression=value>>` steps with
exact arithmetic, and the solution is written again as those steps. An item is refused if any step
is in doubt: a step that is rounded, wrong, not annotated, not used, or not plain + − × ÷; a number
in a step with no origin, or with two (a number of the question, an earlier result, an amount said
in words such as "twice" or implied by "hours"); a number of the question that no step uses; a word
that ties the answer to the order of sizes ("limit", "rounded", "at least"). New numbers are drawn
up to {ATTEMPTS} times until every step keeps its sign, and is whole where it was whole. What the
rules cannot see: an amount of common knowledge ("a spider has 8 legs") that happens to equal a
number which the question uses for something else in the same solution.""",
    "range": f"""\
The same, with each number multiplied by one of {", ".join(map(str, FACTORS))}.""",
}

_OTHERS = """\
## Where they apply

* **GSM8K**: all five. GSM-Plus is a perturbed GSM8K already and stays as its authors made it.
* **HumanEval**: typos, distractor and shuffle in the prose of the docstring before its first
  example; names of the function and its parameters stay. The model reads `shown_prompt`; what is
  executed is the clean `prompt`. A change that would alter the parsed code is refused.
* **SciQ**: typos in passage and question; distractor in the passage, or in the question where there
  is no passage; shuffle in the passage, whose last sentence stays last.
* **BIG-Bench Hard**: typos, distractor and shuffle for the subtasks whose wording is not what is
  asked (no word lists, code, quotations, tables or grammar); options stay.
* **MATH500, AIME**: typos outside formulas and macros, and distractor.
* **The embedded family**: its items carry their program, so shuffle knows where order is free and
  numeric computes answers by the program, within the numbers the family knows (1 to 99).

## Share of items changed

On the sample items that ship with the package, seed 0. These are a handful of items written for
tests: `rvec perturb` reports the share on the real set.

"""


def _items(benchmark: Benchmark) -> list[dict[str, Any]]:
    name = str(benchmark.data)
    if name == "tiny":
        return read_items(folder("eval") / "tasks" / "tiny" / "data" / "word_problems_test.jsonl")
    split = "train" if name == "aime24" else "test"
    return read_items(sample_data() / name / f"{split}.jsonl")


def _documented() -> Iterator[Benchmark]:
    shown = {"gsm8k", "humaneval", "sciq", "math500", "aime24", "aime25", "tiny"}
    yield from (benchmark for benchmark in GENERAL if benchmark.name in shown)
    for benchmark in BBH:
        shipped = (sample_data() / str(benchmark.data)).is_dir()
        if benchmark.folder == "bbh/cot_fewshot" and benchmark.perturbations and shipped:
            yield benchmark


def _spec(benchmark: Benchmark, kind: str) -> PerturbationSpec:
    return PerturbationSpec(kind=kind, **benchmark.perturbations[kind])  # type: ignore[arg-type]


def _shares() -> Iterator[str]:
    yield f"| items | {' | '.join(KINDS)} |"
    yield f"|---|{'---|' * len(KINDS)}"
    for benchmark in _documented():
        items = _items(benchmark)
        cells = []
        for kind in KINDS:
            if kind not in benchmark.perturbations:
                cells.append("")
                continue
            realised = realise(items, _spec(benchmark, kind))
            cells.append(f"{len(realised.rows)} of {realised.offered} ({realised.share:.1%})")
        yield f"| {benchmark.data} | {' | '.join(cells)} |"


def _examples(kind: str) -> Iterator[str]:
    for name in ("gsm8k", "humaneval"):
        benchmark = next(b for b in GENERAL if b.name == name)
        if kind not in benchmark.perturbations:
            continue
        items = _items(benchmark)
        row = realise(items, _spec(benchmark, kind)).rows[0]
        before = items[row[ORIGIN]]
        code = name == "humaneval"
        pairs = [
            ("before", before["prompt"] if code else before["question"]),
            ("after", row[SHOWN] if code else row["question"]),
        ]
        if row.get("answer") != before.get("answer"):
            pairs += [("worked before", before["answer"]), ("worked after", row["answer"])]
        for label, text in pairs:
            yield f"{name}, {label}:\n\n```{'python' if code else 'text'}\n{text.rstrip()}\n```\n"


def page() -> str:
    """The page as it should be."""
    sentences = "\n".join(f"* {text.format(who='WHO', n='N')}" for text, _ in SENTENCES)
    parts = [_INTRODUCTION]
    for kind in KINDS:
        parts.append(f"## {kind}\n\n{_DEFINITIONS[kind].format(sentences=sentences)}\n")
        parts.extend(_examples(kind))
    return "\n".join(parts) + "\n" + _OTHERS + "\n".join(_shares()) + "\n"


def main(arguments: list[str]) -> None:
    path = folder("eval").parent / "docs" / "perturbations.md"
    if arguments != ["--check"]:
        path.write_text(page(), encoding="utf-8")
    elif path.read_text(encoding="utf-8") != page():
        raise SystemExit("Stale: docs/perturbations.md")


if __name__ == "__main__":
    main(sys.argv[1:])
