"""lm-eval's HF model, with the forced-steps diagnostic.

Withholding the final answer until the worked steps are written tells *not writing the steps* from
*not being able to*: a vector whose whole gain disappears here carries a habit, not arithmetic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList


@dataclass(frozen=True)
class Withholding:
    """What a task withholds: its ``metadata.forced_steps``.

    Attributes:
        answer: the text that opens the final answer, one token of the tokenizer.
        steps: the item's field that counts the worked lines of a full solution.
    """

    answer: str
    steps: str

    @classmethod
    def of(cls, task: Any) -> "Withholding | None":
        """The task's own, or None if it cannot count steps."""
        declared = (task.config.metadata or {}).get("forced_steps")
        return cls(declared["answer"], declared["steps"]) if declared else None


class _UntilWritten(LogitsProcessor):  # type: ignore[misc]
    """Forbids the answer and the end of row i until it has ``lines[i]`` line ends."""

    def __init__(
        self, prompt: int, lines: Sequence[int], line_ends: Tensor, forbidden: Tensor
    ) -> None:
        self._prompt = prompt
        self._lines = torch.tensor(lines)
        self._line_ends = line_ends
        self._forbidden = forbidden

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Shapes: ``input_ids`` (rows, prompt + written), ``scores`` (rows, vocabulary)."""
        written = torch.isin(input_ids[:, self._prompt :], self._line_ends.to(input_ids.device))
        early = written.sum(dim=1) < self._lines.to(input_ids.device)
        blocked = early.nonzero()[:, :1], self._forbidden.to(input_ids.device)
        scores = scores.clone()
        scores[blocked] = -torch.inf
        return scores


class SweepLM(HFLM):  # type: ignore[misc]
    """A resident model whose weights change between evaluations.

    Set ``withholding`` to evaluate with forced steps; None evaluates as lm-eval does.

    Attributes:
        cut: by prompt, whether an output to it was cut off at the token budget.
    """

    withholding: Withholding | None = None
    cut: dict[str, bool]
    _steps: Mapping[str, int]
    _batch: Sequence[str]

    def __init__(self, model: Any, **options: Any) -> None:
        # HFLM ties the output embeddings once more, and would lose a stored head that differs from
        # the input's: transformers keeps it.
        model.tie_weights = lambda: None
        super().__init__(pretrained=model, **options)
        del model.tie_weights
        self.cut = {}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        if self.withholding is not None:
            field = self.withholding.steps
            self._steps = {request.args[0]: int(request.doc[field]) for request in requests}
        answers: list[str] = super().generate_until(requests, disable_tqdm)
        return answers

    def tok_batch_encode(self, strings: Sequence[str], **options: Any) -> tuple[Tensor, Tensor]:
        # HFLM encodes a batch right before it generates; the ids alone do not tell the item.
        self._batch = strings
        encoded: tuple[Tensor, Tensor] = super().tok_batch_encode(strings, **options)
        return encoded

    def _model_generate(
        self, context: Tensor, max_length: int, stop: list[str], **settings: Any
    ) -> Tensor:
        if self.withholding is not None:
            ends = torch.tensor(line_ends(self.tokenizer))
            never = torch.tensor(forbidden(self.withholding, self.tokenizer))
            lines = [self._steps[text] for text in self._batch]
            processor = _UntilWritten(context.shape[1], lines, ends, never)
            settings["logits_processor"] = LogitsProcessorList([processor])
        generated: Tensor = super()._model_generate(context, max_length, stop, **settings)
        self._note_cut(generated[:, context.shape[1] :], max_length - context.shape[1], stop)
        return generated

    def _note_cut(self, written: Tensor, budget: int, stop: Sequence[str]) -> None:
        """What ended before the budget is padded, ends in a stop string, or in the last token."""
        ends = {self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, self.eot_token_id}
        for text, row in zip(self._batch, written.tolist(), strict=True):
            full = len(row) >= budget and row[-1] not in ends
            said = self.tok_decode(row) if full else ""
            cut = full and not any(mark and mark in said for mark in stop)
            self.cut[text] = self.cut.get(text, False) or cut


def line_ends(tokenizer: Any) -> list[int]:
    """The tokens that hold a line end."""
    return [t for t in range(len(tokenizer)) if "\n" in tokenizer.decode([t])]


def forbidden(withholding: Withholding, tokenizer: Any) -> list[int]:
    """The tokens that would open the answer, or end the text."""
    answer = tokenizer.encode(withholding.answer, add_special_tokens=False)
    return sorted({answer[0], tokenizer.eos_token_id})
