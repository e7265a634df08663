"""What is told of a cell's outputs."""

from typing import Any

from rvec_merge.tasks.outputs import describe, lengths, outcomes


def row(doc_id: int, right: float, read: str, filter_name: str, **more: Any) -> dict[str, Any]:
    return {
        "task": "t", "doc_id": doc_id, "filter": filter_name, "metrics": ["exact_match"],
        "exact_match": right, "filtered_resps": [read], "resps": [["one two", "one"]], **more,
    }  # fmt: skip


ROWS = [
    row(0, 1.0, "2", "strict", finish_reasons=["length", "stop"]),
    row(1, 0.0, "[invalid]", "strict", finish_reasons=["stop"]),
    row(0, 1.0, "2", "loose"),
    row(1, 1.0, "3", "loose"),
]


def test_items_are_counted_once_and_the_most_lenient_filter_says_what_could_be_read() -> None:
    told = describe(ROWS, lengths(ROWS, lambda text: 10 * len(text.split())))
    assert (told["items"], told["outputs"], told["tokens"]) == (2, 4, 15.0)
    assert (told["parsable"], told["truncated"], told["steps"]) == (1.0, 0.5, None)
    assert told["means"] == {"strict": {"exact_match": 0.5}, "loose": {"exact_match": 1.0}}


def test_outcomes_are_of_the_items_that_were_asked_for() -> None:
    found = outcomes(ROWS, "exact_match", "strict", {"t": {0: "first"}})
    assert found.items.tolist() == ["first"]
    assert (found.values.tolist(), found.truncated.tolist()) == ([1.0], [True])
