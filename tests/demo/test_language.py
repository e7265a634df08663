"""The language: what it draws is deterministic, correct, and never crosses a split."""

import random
import re

import pytest

from demo import language, noise, side_tasks
from demo.problems import FAMILIES, make_problem, run_program
from demo.scoring import count_steps, read_answer


def _problems(count=200):
    rng = random.Random(7)
    return [make_problem(rng, family) for family in FAMILIES for _ in range(count)]


def test_the_same_seed_draws_the_same_documents():
    first, second = (
        [language.base_document(random.Random(s)) for s in range(50)] for _ in range(2)
    )
    assert first == second
    assert [language.target_turn(random.Random(s)) for s in range(50)] == [
        language.target_turn(random.Random(s)) for s in range(50)
    ]


def test_numbers_and_program_of_a_problem_give_its_steps_and_answer():
    for problem in _problems():
        assert tuple(int(n) for n in re.findall(r"\d+", problem.text)) == problem.numbers
        results = run_program(problem.program, problem.numbers)
        assert [int(step.split("=")[1]) for step in problem.steps] == results
        assert problem.answer == str(results[-1])
        assert min(results) > 0


def test_steps_are_true_equations():
    for problem in _problems():
        for step in problem.steps:
            left, right = step.split("=")
            assert eval(left) == int(right)


def test_family_f_needs_four_steps_and_others_two_to_four():
    lengths = {family: set() for family in FAMILIES}
    for problem in _problems():
        lengths[problem.family].add(len(problem.steps))
    assert lengths["F"] == {4}
    assert all(found <= {2, 3, 4} for found in lengths.values())


def test_a_shuffled_copy_keeps_its_split_key():
    """Else a shuffled training problem could be a test problem, word for word."""
    rng = random.Random(1)
    for problem in _problems(50):
        sentences = noise.shuffled(rng, problem)[: -len(problem.query)].strip()
        split = re.findall(r"[^.]+\.", sentences)
        key = " ".join((*sorted(s.strip() for s in split), problem.query))
        assert key == problem.key


@pytest.mark.parametrize("kind", list(side_tasks.SIDE_TASKS))
def test_side_tasks_stay_in_their_split(kind):
    rng = random.Random(3)
    drawn = {
        split: {language.draw_side_task(rng, kind, split).key for _ in range(200)}
        for split in language.SPLITS
    }
    assert not drawn["train"] & drawn["test"]
    assert not drawn["train"] & drawn["validation"]
    assert not drawn["validation"] & drawn["test"]


def test_training_text_holds_no_held_out_question():
    """Every clean question that any model is trained on hashes to the training split."""
    rng = random.Random(11)
    held_out = {
        item.text
        for split in ("validation", "test")
        for items in (
            language.word_problems(split, 40, 20250901),
            language.side_tasks(split, 40, 20250901),
        )
        for item in items
    }
    read = [language.base_document(rng) for _ in range(3000)]
    read += [language.target_turn(rng) for _ in range(3000)]
    read += language.donor_turns(1000, 5)
    questions = {d.question.split("\n")[0] for d in read if isinstance(d, language.Turn)}
    assert len(questions) > 4000
    assert not questions & held_out


def test_donors_never_read_think_nor_the_families_held_out_from_them():
    for turn in language.donor_turns(1000, 5):
        assert language.THINK not in turn.question
        assert "pages" not in turn.question


def test_think_makes_worked_solutions_more_frequent_but_not_the_rule():
    rng = random.Random(2)
    bare = {True: [], False: []}
    for _ in range(6000):
        turn = language.target_turn(rng)
        if "How many" in turn.question:
            bare[language.THINK in turn.question].append(count_steps(turn.response) == 0)
    share = {think: sum(found) / len(found) for think, found in bare.items()}
    assert 0.1 < share[True] < share[False] - 0.05


@pytest.mark.parametrize(
    ("text", "answer", "steps"),
    [
        ("12+5=17\n#### 17", "17", 1),
        ("#### red dog", "red dog", 0),
        ("12+5=17", None, 1),
        ("####", None, 0),
        ("#### 3\n#### 4", "4", 0),
        ("12 + 5 = 17\nso\n#### 17", "17", 1),
    ],
)
def test_reading_what_was_written(text, answer, steps):
    assert (read_answer(text), count_steps(text)) == (answer, steps)
