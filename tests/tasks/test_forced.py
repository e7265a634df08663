"""Withholding the answer: row by row, until a row has its lines, and not a token longer."""

import torch

from rvec_merge.tasks.forced import Withholding, _UntilWritten, forbidden, line_ends

WORDS = ["a", "\n", "b\n", "####", "<end>"]


class Tokenizer:
    eos_token_id = 4

    def __len__(self) -> int:
        return len(WORDS)

    def decode(self, ids: list[int]) -> str:
        return "".join(WORDS[i] for i in ids)

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [WORDS.index(text)]


def test_answer_and_end_wait_for_the_lines_of_each_row() -> None:
    ends = line_ends(Tokenizer())
    never = forbidden(Withholding("####", "n_steps"), Tokenizer())
    assert (ends, never) == ([1, 2], [3, 4])
    withheld = _UntilWritten(1, [2, 2], torch.tensor(ends), torch.tensor(never))
    # The prompt's own line end counts for nothing.
    scores = withheld(torch.tensor([[1, 0, 2], [1, 1, 2]]), torch.zeros(2, len(WORDS)))
    assert scores.isinf().tolist() == [[False] * 3 + [True] * 2, [False] * 5]
