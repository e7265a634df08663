"""Tokenizers that give one id to different tokens, or cut text differently."""

import json

from tests.preflight.conftest import SPECIAL, WORDS, Trio, tokenizer
from tests.preflight.mutations import (
    retokenized,
)
from tests.preflight.told import Errors, Mutation, Warnings

ERRORS = {
    "rows to align by a tokenizer that is not there": Mutation(
        lambda t: (
            t.recipe.update(tokenizer={"source": "base"}),
            [(t.folder(n) / "tokenizer.json").unlink() for n in ("grpo", "sft")],
        ),
        ("needs one at every input", "grpo /", "sft /"),
    ),
    "permuted tokens": Mutation(
        lambda t: retokenized(t, words=[WORDS[1], WORDS[0], *WORDS[2:]]),
        ("The tokenizers of grpo and target", "2 tokens differ:", "'word0': target 0, grpo 1"),
    ),
    "other special tokens": Mutation(
        lambda t: retokenized(t, special=SPECIAL[::-1]),
        ("2 special tokens differ:", "'<|end|>': target 60, grpo 61"),
    ),
    "other added tokens": Mutation(
        lambda t: retokenized(t, special=["<|end|>"]),
        ("1 added tokens differ:", "'<tool>': target 62, grpo 61"),
    ),
    "an id that is text": Mutation(
        lambda t: t.edit_json("sft", "tokenizer.json", lambda d: d["model"]["vocab"].update(x="1")),
        ("tokenizer.json is malformed.",),
    ),
    "a vocabulary that is text": Mutation(
        lambda t: t.edit_json(
            "sft", "tokenizer.json", lambda d: d.update(model={"vocab": "x"}, added_tokens=[])
        ),
        ("tokenizer.json is malformed.",),
    ),
    "merges that are numbers": Mutation(
        lambda t: t.edit_json("sft", "tokenizer.json", lambda d: d["model"].update(merges=[5])),
        ("tokenizer.json is malformed.",),
    ),
    "an id that is null": Mutation(
        lambda t: (
            (t.folder("sft") / "tokenizer.json").unlink(),
            (t.folder("sft") / "vocab.json").write_text('{"word0": null}'),
        ),
        ("vocab.json is malformed.",),
    ),
}


def normalized(trio: Trio) -> None:
    data = {**tokenizer(), "normalizer": {"type": "Lowercase"}}
    (trio.folder("sft") / "tokenizer.json").write_text(json.dumps(data))


WARNINGS = {
    "a tokenizer that cannot be read": Mutation(
        lambda t: (t.folder("sft") / "tokenizer.json").unlink(), ("Tokenizers were not compared.",)
    ),
    "a tokenizer that splits otherwise": Mutation(
        normalized, ("The tokenizers of sft and target split text differently.",)
    ),
    "a beginning that the tokenizer adds": Mutation(
        lambda t: t.edit_json("sft", "tokenizer.json", lambda d: d.update(post_processor={"x": 1})),
        ("The tokenizers of sft and target split text differently.",),
    ),
}


class TestErrors(Errors):
    TABLE = ERRORS


class TestWarnings(Warnings):
    TABLE = WARNINGS


def test_merges_in_either_notation_are_the_same(trio: Trio) -> None:
    for name, merges in (("target", ["a b", "ab c"]), ("grpo", [["a", "b"], ["ab", "c"]])):
        data = tokenizer()
        data["model"]["merges"] = merges
        (trio.folder(name) / "tokenizer.json").write_text(json.dumps(data))
    trio.edit_json("sft", "tokenizer.json", lambda d: d["model"].update(merges=["b a", "ab c"]))
    text = trio.check().output
    assert "grpo and target split" not in text
    assert "The tokenizers of sft and target split text differently." in text
