"""Write docs/perturbations.md: ``python -m tools.document_perturbations``.

Examples come from the shipped sample items; ``--check`` fails if the page is stale. The shares are
those of real sets, which are not shipped: ``--measure DIR`` reads them from DIR, laid out as for
``RVEC_EVAL_DATA``, and writes them to ``perturbation_shares.md`` beside this file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rvec_merge.errors import TaskError
from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.local_data import read_items, sample_data
from rvec_merge.tasks.perturb.items import ORIGIN, SHOWN, realise
from rvec_merge.tasks.perturb.lexicon import DISTRACTORS
from rvec_merge.tasks.perturb.numeric import ATTEMPTS, FACTORS, HIGHEST
from rvec_merge.tasks.perturb.quantities import OLDEST
from rvec_merge.tasks.perturb.spec import GENERATOR_VERSION, GSM_PLUS, KINDS, PerturbationSpec
from rvec_merge.tasks.perturb.typos import RATE, SHORTEST
from tools.benchmarks import BBH, GENERAL, Benchmark

_SHARES = Path(__file__).parent / "perturbation_shares.md"

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
    "distractor": """\
One irrelevant sentence with a number from the list below. It is about a thing, so that no "she"
after it means somebody else. Its number, 3 to 98, is none of the item's; a sentence is used only if
none of its topic words, units among them, occurs in the item in any form. It goes before any
sentence, drawn at random, that does not begin with "it", "they", "then" or their like, never after
the last, and to the front only where there is no other place.

{sentences}""",
    "shuffle": """\
All sentences but the last, which asks, in another order than they came. Refused: fewer than two
sentences before the last; a question before the last; a sentence with a pronoun, an order word or a
share ("then", "the rest", "half"), or "the box" where another sentence has "a box"; a last sentence
that points back.""",
    "numeric": f"""\
Every whole number of the question from 2 up becomes another one between half and twice its value;
equal numbers change alike. Percentages, decimals, fractions, dates, times, ordinals, bills and
coins, and numbers in names stay. A number keeps its form: $3.00 has cents, $150,000 stays round and
keeps its comma. The answer is computed through the worked solution's `<<expression=value>>` steps
with exact arithmetic, and the solution is written again as those steps. An item is refused if any
step is in doubt: a step that is rounded, wrong, not annotated, not used, without an operation, or
not plain + − × ÷; a number in a step with no origin, or with two (a number of the question, an
earlier result, an amount said in words such as "twice", implied by "hours", "parents" or "legs", or
the count of a list: "Ann, Bob and Carl"); a small number that the steps use more often than the
question tells it; a number of the question that no step uses; "of each"; a word that ties the
answer to the order of sizes ("limit", "rounded", "at least").

New numbers are drawn up to {ATTEMPTS} times until every step keeps its sign, is whole where it was
whole, and all quantities, told and computed, keep their order: no more women stay than came. They
stay below what their unit allows where the question says it: 7 days a week, 16 hours a day, nobody
older than {OLDEST}.""",
    "range": f"""\
The same, with each number multiplied by one of {", ".join(map(str, FACTORS))}; no quantity above
{HIGHEST:,}.""",
}

_GSM_PLUS = """\
## Made by people: gsm_plus

GSM-Plus (arXiv:2402.19255, CC BY-SA 4.0) varies every test item of GSM8K in eight ways, written and
checked by people: the field's own meaning of "GSM8K under perturbation". Seven of them are
perturbations here, each variant paired with the item that it varies: evaluated as
`perturbations: ["gsm_plus:paraphrase", …]` in a plan, or as a task of its own,
`rvec_gsm8k_gsm_plus_paraphrase`.
The eighth, critical thinking, takes away what an answer needs, so there is none to score; variants
without a numeric answer are refused alike. The items are read from the Hub, or from
`gsm_plus/test.jsonl` (or its small split, `testmini.jsonl`) below `RVEC_EVAL_DATA`.

| here | in GSM-Plus |
|---|---|
{rows}
""".format(rows="\n".join(f"| `{kind}` | {names[0]} |" for kind, names in GSM_PLUS.items()))

_OTHERS = """\
## Where they apply

* **GSM8K**: all five, and the variants that GSM-Plus's authors made by hand, below.
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

On the whole test sets, seed 0 (`python -m tools.document_perturbations --measure DIR`). `rvec
perturb` reports the share, and every reason for a refusal, on any set. A plan refuses a perturbed
set of fewer than 100 items, unless its task says how few are enough (`min_items`).

"""


def _items(benchmark: Benchmark, root: Path | None = None) -> list[dict[str, Any]]:
    name = str(benchmark.data)
    if name == "tiny":
        return read_items(folder("eval") / "tasks" / "tiny" / "data" / "word_problems_test.jsonl")
    split = "train" if name == "aime24" else "test"
    return read_items((root or sample_data()) / name / f"{split}.jsonl")


def _measured(root: Path) -> Iterator[Benchmark]:
    several = {"gsm8k", "humaneval", "sciq", "math500", "aime24", "aime25", "tiny"}
    shots = {"bbh/cot_fewshot"}
    for benchmark in (*GENERAL, *BBH):
        named = benchmark.name in several or benchmark.folder in shots
        there = benchmark.data == "tiny" or (root / str(benchmark.data)).is_dir()
        if named and there and benchmark.perturbations:
            yield benchmark


def _spec(benchmark: Benchmark, kind: str) -> PerturbationSpec:
    return PerturbationSpec(kind=kind, **benchmark.perturbations[kind])  # type: ignore[arg-type]


def _shares(root: Path) -> Iterator[str]:
    yield f"<!-- generator version {GENERATOR_VERSION} -->"
    yield f"| items | {' | '.join(KINDS)} |"
    yield f"|---|{'---|' * len(KINDS)}"
    for benchmark in _measured(root):
        items = _items(benchmark, root)
        cells = []
        for kind in KINDS:
            if kind not in benchmark.perturbations:
                cells.append("")
                continue
            try:
                realised = realise(items, _spec(benchmark, kind))
            except TaskError:  # nothing of the set can be perturbed
                cells.append(f"0 of {len(items)}")
                continue
            cells.append(f"{len(realised.rows)} of {realised.offered} ({realised.share:.0%})")
        yield f"| {benchmark.data} | {' | '.join(cells)} |"


def _stored_shares() -> str:
    text = _SHARES.read_text(encoding="utf-8")
    mark, _, table = text.partition("\n")
    if mark != f"<!-- generator version {GENERATOR_VERSION} -->":
        raise SystemExit(f"{_SHARES} is of another generator version: measure again.")
    return table


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
    sentences = "\n".join(f"* {text.format(n='N')}" for text, _ in DISTRACTORS)
    parts = [_INTRODUCTION]
    for kind in KINDS:
        parts.append(f"## {kind}\n\n{_DEFINITIONS[kind].format(sentences=sentences)}\n")
        parts.extend(_examples(kind))
    parts.append(_GSM_PLUS)
    return "\n".join(parts) + "\n" + _OTHERS + _stored_shares()


def main(arguments: list[str]) -> None:
    path = folder("eval").parent / "docs" / "perturbations.md"
    if arguments[:1] == ["--measure"] and len(arguments) == 2:
        _SHARES.write_text("\n".join(_shares(Path(arguments[1]))) + "\n", encoding="utf-8")
    if arguments != ["--check"]:
        path.write_text(page(), encoding="utf-8")
    elif path.read_text(encoding="utf-8") != page():
        raise SystemExit("Stale: docs/perturbations.md")


if __name__ == "__main__":
    main(sys.argv[1:])
