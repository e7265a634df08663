"""A recipe, checked and planned: what is streamed, what mergekit must do, and what nobody can."""

from rvec_merge.merge.prepare import prepare
from rvec_merge.merge.settings import Settings
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.merge.conftest import text
from tests.vector.test_dense import VECTOR_RECIPE

UNION = "tokenizer: {source: union}\n"


def test_a_plan_or_a_reason_or_an_error(tmp_path, models):
    found = prepare(parse_recipe(text(models)), tmp_path / "out", Settings())
    assert len(found.plan.tensors) == len(found.report.tensors)
    assert found.reason is None
    left = prepare(parse_recipe(text(models, extra=UNION)), tmp_path / "out", Settings())
    assert left.plan is None
    assert "a tokenizer that is not the target's" in left.reason
    (tmp_path / "out").mkdir()
    stopped = prepare(parse_recipe(text(models)), tmp_path / "out", Settings())
    assert stopped.plan is None
    assert [error.headline for error in stopped.report.errors] == ["The output exists."]


def test_a_compact_vector_that_mergekit_would_have_to_read(tmp_path, models):
    vector = tmp_path / "vector"
    extract_compact(open_donors(models["grpo"], models["sft"]), vector, shard_size=10**9)
    recipe = VECTOR_RECIPE.format(
        target=models["target"], vector=vector, scale=0.7, out_dtype="bfloat16"
    )
    assert prepare(parse_recipe(recipe), None, Settings()).plan is not None
    (error,) = prepare(parse_recipe(recipe + UNION), None, Settings()).report.errors
    assert "cannot read a compact vector file" in error.headline
    assert f"vector {vector}" in error.facts
