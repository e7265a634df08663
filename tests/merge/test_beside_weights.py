"""What lies beside the weights: the target's files, its chat template, and the card."""

import filecmp
import json
import shutil
from pathlib import Path

import pytest

from rvec_merge.errors import (
    RecipeError,
)
from rvec_merge.files.marks import RECIPE_FILE
from rvec_merge.merge.beside_weights import write_card
from rvec_merge.recipe.read import parse_recipe
from tests.conftest import RECIPE
from tests.merge.conftest import (
    assert_same_folder,
    run,
    text,
)

SCALE = {"scale": 1.0, "out_dtype": "float32"}


def test_a_chat_template_of_its_own_is_kept(tmp_path, models):
    target = shutil.copytree(models["target"], tmp_path / "target")
    (target / "chat_template.jinja").write_text("{{ messages[0].content }}")
    run(text({**models, "target": target}), tmp_path / "out")
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages[0].content }}"


def test_no_tokenizer_if_not_asked_for(tmp_path, stock, models):
    run(text(models), tmp_path / "out", copy_tokenizer=False)
    assert_same_folder(tmp_path / "out", stock(text(models), copy_tokenizer=False))
    assert not (tmp_path / "out" / "tokenizer.json").exists()


def test_a_chat_template_named_in_the_recipe(tmp_path, stock, models):
    recipe = text(models, extra="chat_template: chatml\n")
    run(recipe, tmp_path / "out")
    theirs = stock(recipe)
    # mergekit loses the generation config on this path; ours keeps it.
    assert (tmp_path / "out" / "generation_config.json").is_file()
    assert not (theirs / "generation_config.json").exists()
    shutil.copy(models["target"] / "generation_config.json", theirs)
    # The tokenizer's files are the target's own, the template aside; mergekit writes them anew.
    ours = tmp_path / "out"
    assert filecmp.cmp(ours / "tokenizer.json", models["target"] / "tokenizer.json", shallow=False)
    own, kept = (
        json.loads((folder / "tokenizer_config.json").read_text())
        for folder in (models["target"], ours)
    )
    assert {**kept, "chat_template": None} == {**own, "chat_template": None}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ours / name, theirs)
    assert_same_folder(tmp_path / "out", theirs)


def test_the_template_of_most_inputs(tmp_path, models):
    folders = {n: Path(shutil.copytree(f, tmp_path / n)) for n, f in models.items()}
    for name, template in {"target": "{{ a }}", "grpo": "{{ b }}", "sft": "{{ b }}\n"}.items():
        (folders[name] / "chat_template.jinja").write_text(template)
    run(text(folders, extra="chat_template: auto\n"), tmp_path / "out")
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ b }}"


def test_a_template_that_is_none_is_refused_with_those_that_there_are(tmp_path, models):
    with pytest.raises(RecipeError, match="chat_template is none") as caught:
        run(text(models, extra="chat_template: chatlm\n"), tmp_path / "out")
    assert "chatml" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_card_links_repos_and_names_folders(tmp_path):
    recipe = parse_recipe(RECIPE.format(target="org/a", grpo="./b", sft="c+org/d", **SCALE))
    write_card(recipe, "mine", None, tmp_path)
    said = (tmp_path / "README.md").read_text()
    assert said.startswith("---\nbase_model:\n- org/a\n- c\n- org/d\n")
    assert "Base model: [org/a](https://huggingface.co/org/a)" in said
    assert "* ./b\n" in said
    assert "* [c](https://huggingface.co/c) + [org/d](https://huggingface.co/org/d)\n" in said
    assert (tmp_path / RECIPE_FILE).read_text() == recipe.text
