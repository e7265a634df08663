"""The metric ``answer`` and what stands beside it, of one item's outputs."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

from rvec_merge.answer.choices import bare_words, find_letter, find_words
from rvec_merge.answer.code import find_program
from rvec_merge.answer.compare import NotJudged, same
from rvec_merge.answer.find import after, after_thinking, find_answer
from rvec_merge.answer.numbers import value

Asked = Literal["number", "math", "choice", "words", "code"]
# Metric: whether more of it is better.
METRICS: Mapping[str, bool] = {
    "answer": True,
    "no_answer": False,
    "not_judged": False,
    "thinking_unfinished": False,
    # Of items with several outputs alone.
    "answer_pass": True,
    "answer_majority": True,
}


def judge(
    asked: Asked,
    doc: Mapping[str, Any],
    prompt: str,
    target: str,
    outputs: Sequence[str],
    think_end: str | None = None,
) -> dict[str, float]:
    """Every metric of ``METRICS``, each a mean over the item's outputs.

    ``answer`` is absent where not every output could be judged: 0 would be a claim. Of several
    outputs, ``answer_pass`` is whether any is right, ``answer_majority`` whether the answer that
    most of them give is; the earliest of equals counts.

    Args:
        think_end: what ends an output's thinking, where it is known; see ``tasks.harness``.
    """
    read = [
        (o, after_thinking(o)[1]) if think_end is None else after(o, think_end) for o in outputs
    ]
    found = [_answer(asked, doc, prompt, target, said) for said, _ in read]
    judged: list[tuple[str | None, bool]] = []
    for answer in found:
        try:
            judged.append((answer, answer is not None and _right(asked, target, answer)))
        except NotJudged:
            continue
    shares = {
        "no_answer": sum(answer is None for answer in found) / len(found),
        "not_judged": 1 - len(judged) / len(found),
        "thinking_unfinished": sum(unfinished for _, unfinished in read) / len(found),
    }
    if len(judged) < len(found):
        return shares
    right = [one for _, one in judged]
    if len(right) > 1:
        shares |= {"answer_pass": float(any(right)), "answer_majority": _majority(judged)}
    return {"answer": sum(right) / len(right), **shares}


def _majority(judged: Sequence[tuple[str | None, bool]]) -> float:
    """Whether the commonest answer is right; answers of one value are one answer."""
    given = [(_meaning(answer), right) for answer, right in judged if answer is not None]
    if not given:
        return 0.0
    commonest = Counter(meaning for meaning, _ in given).most_common(1)[0][0]
    return float(next(right for meaning, right in given if meaning == commonest))


def _meaning(answer: str) -> Hashable:
    number = value(answer)
    return "".join(answer.split()) if number is None else number


def _answer(
    asked: Asked, doc: Mapping[str, Any], prompt: str, target: str, output: str
) -> str | None:
    if asked == "code":
        return find_program(doc["prompt"], output, doc["entry_point"])
    if asked == "choice":
        return find_letter(output, prompt)
    return find_words(output, target.strip()) if asked == "words" else find_answer(output, asked)


def _right(asked: Asked, target: str, answer: str) -> bool:
    if asked == "code":
        from rvec_merge.sandbox.run import isolation, run_program

        isolation()
        return run_program(answer, target).passed
    if asked == "choice":
        return answer == target.strip().strip("()")
    if asked == "words":
        return answer == bare_words(target)
    return same(target.rpartition("####")[2].strip(), answer)
