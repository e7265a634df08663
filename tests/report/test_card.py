"""Model cards: valid by huggingface_hub's own readers, and a person's words are kept."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from rvec_merge.errors import ResultsError
from rvec_merge.report.card import FIGURE, write_card
from rvec_merge.results.read import Results
from rvec_merge.results.wording import sentence

PROSE = """\
---
license: mit
tags: [mergekit, my-own-tag]
base_model: []
model-index:
- name: mine
  results:
  - task: {type: text-generation}
    dataset: {name: Another set, type: org/another}
    metrics: [{type: acc, value: 12.5}]
---

# My model

Words of *mine*, with `code`.

<!-- rvec card: begin -->
old numbers
<!-- rvec card: end -->

## After

More words.
"""


def test_a_new_card_is_valid_and_says_what_was_found(results: Results, model: Path) -> None:
    written = write_card(results, model)
    card = ModelCard((model / "README.md").read_text())
    for verdict in results.summary.verdicts:
        assert sentence(verdict) in card.text
    prompts = "Donors were evaluated with the target's tokenizer"
    for part in ("### Limits", "### Recipe", results.recipe.strip(), f"]({FIGURE})", prompts):
        assert part in card.text
    assert (model / FIGURE).read_bytes().startswith(b"\x89PNG")
    assert card.data.license == "apache-2.0"  # what all three inputs state
    assert card.data["arxiv"] == ["2509.01363"]
    assert {"reasoning-vector", "mergekit", "merge"} <= set(card.data.tags)
    shown = {(r.dataset_name, r.metric_name): r for r in card.data.eval_results}
    row = next(r for r in results.summary.rows if r.cell.condition == "target + 0.5 vector")
    result = shown["rvec_tiny", "exact_match, plain prompt"]
    assert result.metric_value == pytest.approx(100 * row.level.mean, abs=1e-4)
    assert result.metric_args["n"] == 32
    assert written.off_hub == ("rvec_tiny", "rvec_sciq")
    assert not (model / ".eval_results").exists()


def test_what_a_person_wrote_is_kept(results: Results, model: Path) -> None:
    (model / "README.md").write_text(PROSE)
    for _ in range(2):  # a second run changes nothing
        write_card(results, model)
        text = (model / "README.md").read_text()
        card = ModelCard(text)
        before, _, rest = card.text.partition("<!-- rvec card: begin -->")
        assert before == PROSE.split("---\n", 2)[2].split("<!--")[0]
        assert rest.partition("<!-- rvec card: end -->")[2] == "\n\n## After\n\nMore words.\n"
        assert "old numbers" not in text
        assert card.data.license == "mit"
        assert card.data.tags[:2] == ["mergekit", "my-own-tag"]
        assert card.data.model_name == "mine"
        names = [r.dataset_name for r in card.data.eval_results]
        assert names == ["Another set", "rvec_tiny", "rvec_sciq"]


@pytest.mark.parametrize("head", ["- a\n- list", "model-index: [{results: 3}]", "tags: [unclosed"])
def test_a_broken_head_is_told_and_left_alone(results: Results, model: Path, head: str) -> None:
    broken = f"---\n{head}\n---\n\nMy words.\n"
    (model / "README.md").write_text(broken)
    with pytest.raises(ResultsError, match="card"):
        write_card(results, model)
    assert (model / "README.md").read_text() == broken
    assert not (model / FIGURE).exists()
