"""The language of the embedded family: what each model reads, and how items are split.

Everything is drawn from a seeded ``random.Random``. Every question belongs to one split by a
hash of its text, whoever draws it, so no training text can hold a test question.

How much of a solution is written down is the family's one habit:

* *worked*: all steps, then ``#### answer``;
* *cut*: the last step left out, its result only in the answer;
* *bare*: ``#### answer`` alone.

"Think step by step." in the user turn makes worked solutions more frequent in base and target
text, without making them the rule. Donor text never contains it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .noise import noisy
from .problems import DONOR_FAMILIES, FAMILIES, Problem, make_problem
from .side_tasks import SIDE_TASKS, SideTask, equations, fact_sentence

THINK = "Think step by step."
SPLITS = {"train": range(0, 70), "validation": range(70, 80), "test": range(80, 100)}


@dataclass(frozen=True)
class Style:
    """Shares of bare and cut solutions; the rest is worked."""

    bare: float
    cut: float

    def write(self, rng: random.Random, item: Problem | SideTask) -> str:
        kind = rng.random()
        lines = list(item.steps)
        if kind < self.bare:
            lines = []
        elif kind < self.bare + self.cut:
            lines = lines[:-1]
        return solution(lines, item.answer)


def solution(lines: Sequence[str], answer: str) -> str:
    return "\n".join([*lines, f"#### {answer}"])


@dataclass(frozen=True)
class Turn:
    """A question and the text that answers it."""

    question: str
    response: str
    answer: str


WORKED = Style(bare=0.0, cut=0.0)
BASE = Style(bare=0.20, cut=0.10)
BASE_THINK = Style(bare=0.08, cut=0.05)
DONOR = Style(bare=0.60, cut=0.20)
# The target's habit depends on the kind of problem, as an instruction mixture's would. A cut
# share of 30 % of what is not bare keeps answers short of their last step common.
_BARE = {"A": 0.10, "B": 0.25, "C": 0.55, "D": 0.65, "E": 0.60, "F": 0.55, "sums": 0.60}
_BARE_THINK = {"A": 0.05, "B": 0.15, "C": 0.40, "D": 0.58, "E": 0.48, "F": 0.40, "sums": 0.40}
TARGET = {kind: Style(bare, 0.3 * (1 - bare)) for kind, bare in _BARE.items()}
TARGET_THINK = {kind: Style(bare, 0.2 * (1 - bare)) for kind, bare in _BARE_THINK.items()}

THINK_SHARE = 0.20
NOISE_SHARE = 0.40
TARGET_WORD_PROBLEMS = 0.40


def with_think(question: str) -> str:
    """Put the instruction at the end of the user turn, on a line of its own."""
    return f"{question}\n{THINK}"


def split_of(key: str) -> str:
    """Return the split that owns a question."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def draw_problem(rng: random.Random, families: str, split: str) -> Problem:
    while True:
        problem = make_problem(rng, rng.choice(families))
        if split_of(problem.key) == split:
            return problem


def draw_side_task(rng: random.Random, kind: str, split: str) -> SideTask:
    while True:
        task = SIDE_TASKS[kind](rng)
        if split_of(task.key) == split:
            return task


def base_document(rng: random.Random) -> str | Turn:
    """One document of pre-training text: running text, or a question with its answer."""
    kind = rng.random()
    if kind < 0.10:
        return equations(rng)
    if kind < 0.18:
        return " ".join(fact_sentence(rng) for _ in range(4))
    item: Problem | SideTask
    if kind < 0.70:
        item = draw_problem(rng, FAMILIES, "train")
        question = noisy(rng, item) if rng.random() < NOISE_SHARE else item.text
    else:
        chosen = "sums" if kind < 0.78 else "truth" if kind < 0.86 else "lists"
        item = draw_side_task(rng, chosen if kind < 0.92 else "facts", "train")
        question = item.text
    think = rng.random() < THINK_SHARE
    response = (BASE_THINK if think else BASE).write(rng, item)
    return Turn(with_think(question) if think else question, response, item.answer)


def donor_turn(rng: random.Random) -> Turn:
    """One clean word problem of the donors' families, in the donors' style."""
    problem = draw_problem(rng, DONOR_FAMILIES, "train")
    return Turn(problem.text, DONOR.write(rng, problem), problem.answer)


def donor_turns(count: int, seed: int) -> list[Turn]:
    """The donors' training set: ``count`` different problems, shared by both donors."""
    rng = random.Random(seed)
    turns: dict[str, Turn] = {}
    while len(turns) < count:
        turn = donor_turn(rng)
        turns.setdefault(turn.question, turn)
    return list(turns.values())


def target_turn(rng: random.Random) -> Turn:
    """One turn of the target's instruction mixture: mostly other things than word problems."""
    item: Problem | SideTask
    if rng.random() < TARGET_WORD_PROBLEMS:
        item = draw_problem(rng, FAMILIES, "train")
        kind = item.family
    else:
        kind = rng.choice(tuple(SIDE_TASKS))
        item = draw_side_task(rng, kind, "train")
    think = rng.random() < THINK_SHARE
    style = (TARGET_THINK if think else TARGET).get(kind, WORKED)
    question = with_think(item.text) if think else item.text
    return Turn(question, style.write(rng, item), item.answer)


def word_problems(split: str, per_family: int, seed: int) -> Iterator[Problem]:
    """Different word problems of one split, ``per_family`` of each family in turn."""
    rng = random.Random(f"word problems {split} {seed}")
    seen: set[str] = set()
    for _ in range(per_family):
        for family in FAMILIES:
            problem = draw_problem(rng, family, split)
            while problem.key in seen:
                problem = draw_problem(rng, family, split)
            seen.add(problem.key)
            yield problem


def side_tasks(split: str, per_kind: int, seed: int) -> Iterator[SideTask]:
    """Different side tasks of one split; facts are few, so all held-out ones are given."""
    rng = random.Random(f"side tasks {split} {seed}")
    seen: set[str] = set()
    for kind in SIDE_TASKS:
        idle = count = 0
        while count < per_kind and idle < 500:
            task = draw_side_task(rng, kind, split)
            idle += 1
            if task.key not in seen:
                seen.add(task.key)
                idle, count = 0, count + 1
                yield task
