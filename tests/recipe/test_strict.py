"""What a recipe says in vain is refused, all of it at once."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from rvec_merge.errors import RvecError
from rvec_merge.recipe.read import parse_recipe

Recipe = dict[str, Any]


def recipe() -> Recipe:
    donors = [{"model": f"org/{r}", "parameters": {"role": r}} for r in ("grpo", "sft")]
    return {"merge_method": "reasoning_vector", "base_model": "org/target", "models": donors,
            "parameters": {"scale": 1.0}}  # fmt: skip


def told(changed: Recipe) -> str:
    with pytest.raises(RvecError) as caught:
        parse_recipe(yaml.safe_dump(changed))
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.update(out_dtpye="float32"), "did you mean 'out_dtype'?"),
        (lambda r: r["models"][0].update(wieght=1), "recipe models[0]"),
        (lambda r: r["parameters"].update(scal=1), "did you mean 'scale'?"),
        (lambda r: r["models"][0]["parameters"].update(scale=1), "stands at a donor"),
        (lambda r: r["parameters"].update(weight=1), "belongs to a donor"),
        (lambda r: r.update(dtype="torch.float32"), "Unknown dtype"),
        (lambda r: r.update(tokenizer_source="base", tokenizer={}), "names its tokenizer twice"),
        (lambda r: r.update(modules={"m": {"models": r["models"]}}), "either models, or slices"),
        (lambda r: r.update(merge_method="reasoning"), "Unknown merge method"),
    ],
)
def test_what_would_be_ignored_is_refused(change: Callable[[Recipe], None], said: str) -> None:
    changed = recipe()
    change(changed)
    assert said in told(changed)


def test_layers_that_are_none() -> None:
    changed = recipe()
    target = {"model": "org/target", "layer_range": [0, 2]}
    sources = [{**donor, "layer_range": [2, 2]} for donor in changed.pop("models")]
    changed["slices"] = [{"sources": [*sources, target]}]
    assert "A layer_range of slices[0] holds no layers." in told(changed)
    changed["slices"] = [{"sources": [{**s, "layer_range": [0, 2]} for s in sources]}]
    assert "The target is not among the sources of slices[0]." in told(changed)


def test_all_of_it_is_told_at_once() -> None:
    both = told({**recipe(), "out_dtype": "half", "dtype": "double"})
    assert "Unknown dtype" in both
    assert "Unknown out_dtype" in both
