"""Which rows of two vocabularies are the same tokens'."""

import json

import pytest

from rvec_merge.checkpoint.vocabulary import common_ids, has_tokens_rows, shared_ids

ABC = {"a": 0, "b": 1, "c": 2}


@pytest.mark.parametrize(
    ("others", "ranges"),
    [
        ([ABC], ((0, 3),)),
        ([{**ABC, "d": 3}], ((0, 3),)),
        ([{"a": 0, "c": 2}], ((0, 1), (2, 3))),  # the donor has no such token
        ([{"a": 0, "x": 1, "c": 2}], ((0, 1), (2, 3))),  # or another one there
        ([{**ABC, "d": 3}, {"a": 0, "b": 1, "d": 3}], ((0, 2),)),
        ([{"a": 0, "b": 2, "c": 1}], None),  # rows would have to be moved
        ([{"x": 0, "y": 1}], None),
        ([{}], None),
    ],
)
def test_ids_that_stand_for_one_token(others, ranges):
    assert common_ids([ABC, *others]) == ranges


def test_rows_are_tokens_in_embeddings_and_heads_alone():
    assert has_tokens_rows("model.language_model.embed_tokens.weight")
    assert has_tokens_rows("lm_head.weight")
    assert not has_tokens_rows("model.layers.0.mlp.up_proj.weight")


def test_a_tokenizer_that_was_changed_is_read_again(tmp_path):
    """In one process, as in a notebook: which rows are merged follows the files."""
    for name, tokens in (("a", ABC), ("b", ABC)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vocab.json").write_text(json.dumps(tokens))
    folders = (tmp_path / "a", tmp_path / "b")
    assert shared_ids(folders) == ((0, 3),)
    (tmp_path / "b" / "vocab.json").write_text(json.dumps({**ABC, "c": 1, "b": 2}))
    assert shared_ids(folders) is None
