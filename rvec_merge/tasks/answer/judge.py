"""The metric ``answer`` and what stands beside it, of one item's outputs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rvec_merge.tasks.answer.choices import bare_words, find_letter, find_words
from rvec_merge.tasks.answer.code import find_program
from rvec_merge.tasks.answer.compare import NotJudged, same
from rvec_merge.tasks.answer.find import after_thinking, find_answer

Asked = Literal["number", "math", "choice", "words", "code"]
# Metric: whether more of it is better.
METRICS: Mapping[str, bool] = {
    "answer": True,
    "no_answer": False,
    "not_judged": False,
    "thinking_unfinished": False,
}


def judge(
    asked: Asked, doc: Mapping[str, Any], prompt: str, target: str, outputs: Sequence[str]
) -> dict[str, float]:
    """Every metric of ``METRICS``, each a mean over the item's outputs.

    ``answer`` is absent where no output could be judged: 0 would be a claim.
    """
    found = [_answer(asked, doc, prompt, target, output) for output in outputs]
    judged: list[float] = []
    for answer in found:
        try:
            judged.append(answer is not None and _right(asked, target, answer))
        except NotJudged:
            continue
    unfinished = [after_thinking(output)[1] for output in outputs]
    shares = {
        "no_answer": sum(answer is None for answer in found) / len(found),
        "not_judged": 1 - len(judged) / len(found),
        "thinking_unfinished": sum(unfinished) / len(found),
    }
    return {"answer": sum(judged) / len(judged), **shares} if judged else shares


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
        from rvec_merge.tasks.code_scoring import isolation, run_program

        isolation()
        return run_program(answer, target).passed
    if asked == "choice":
        return answer == target.strip().strip("()")
    if asked == "words":
        return answer == bare_words(target)
    return same(target.rpartition("####")[2].strip(), answer)
