"""``rvec extract`` as it is typed."""

import json
import shutil

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError, RecipeError
from rvec_merge.vector.read import CompactVector
from tests.conftest import RECIPE


def run(*arguments):
    return CliRunner().invoke(rvec, [str(a) for a in arguments], env={"COLUMNS": "100"})


@pytest.fixture(scope="module")
def recipe(triple, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "recipe.yaml"
    path.write_text(RECIPE.format(**triple, scale=0.5, out_dtype="float32"))
    return path


@pytest.fixture(scope="module")
def vector(recipe):
    out = recipe.parent / "vector"
    result = run("extract", recipe, out)
    assert result.exit_code == 0
    assert "compact" in result.output
    assert "lossless" in result.output
    return out


def test_a_recipe_and_its_donors_give_one_vector(vector, triple, tmp_path):
    assert (
        run("extract", "--grpo", triple["grpo"], "--sft", triple["sft"], tmp_path / "v").exit_code
        == 0
    )
    one, other = CompactVector.open(vector).head, CompactVector.open(tmp_path / "v").head
    assert one.tensors == other.tensors


def test_every_format_reports_as_json(vector, triple, tmp_path):
    donors = ("--grpo", triple["grpo"], "--sft", triple["sft"], "--json")
    for kind, options in (("compact", ["--level", 3]), ("dense", []), ("lora", ["--rank", 4])):
        result = run("extract", *donors, "--format", kind, *options, tmp_path / kind)
        summary = json.loads(result.output)
        assert summary["format"] == kind
        size = sum(p.stat().st_size for p in (tmp_path / kind).glob("*.safetensors"))
        assert summary["bytes"] == size


def test_hash_records_the_donors_files(triple, tmp_path):
    import hashlib

    donors = ("--grpo", triple["grpo"], "--sft", triple["sft"])
    run("extract", *donors, "--hash", tmp_path / "v")
    recorded = CompactVector.open(tmp_path / "v").head.donors["sft"].files["model.safetensors"]
    data = (triple["sft"] / "model.safetensors").read_bytes()
    assert recorded.sha256 == hashlib.sha256(data).hexdigest()
    assert recorded.bytes == len(data)


def test_donors_whose_rows_are_other_tokens_are_no_vector(triple, tmp_path):
    folders = {name: shutil.copytree(triple[name], tmp_path / name) for name in ("grpo", "sft")}
    for folder, words in zip(folders.values(), ("ab", "ba"), strict=True):
        vocabulary = {word: index for index, word in enumerate(words)}
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
    donors = ("--grpo", folders["grpo"], "--sft", folders["sft"])
    refused = run("extract", *donors, tmp_path / "v")
    assert "The tokenizers of sft and grpo give different ids." in str(refused.exception)
    shutil.copy(folders["grpo"] / "vocab.json", folders["sft"])
    config = json.loads((folders["sft"] / "config.json").read_text())
    (folders["sft"] / "config.json").write_text(json.dumps({**config, "num_attention_heads": 2}))
    refused = run("extract", *donors, tmp_path / "v")
    assert "num_attention_heads: grpo 4, sft 2" in str(refused.exception)
    assert not (tmp_path / "v").exists()


def test_an_output_is_replaced_only_when_asked(vector, triple, tmp_path):
    arguments = ("extract", "--vector", vector, "--format", "dense", tmp_path / "v")
    assert run(*arguments).exit_code == 0
    assert isinstance(run(*arguments).exception, OutputError)
    assert run(*arguments, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["out"], "Give RECIPE OUT"),
        (["--grpo", "a", "out"], "Name both donors"),
        (["--grpo", "a", "--sft", "b", "--vector", "c", "out"], "Name both donors"),
        (["--vector", "c", "--rank", "3", "out"], "--rank belongs to --format lora"),
        (["--vector", "c", "--pair", "p", "out"], "there is no recipe"),
        (["--vector", ".", "--shard-size", "big", "out"], "is no size"),
    ],
)
def test_wrong_usage_exits_2(arguments, said, tmp_path, monkeypatch, vector):
    monkeypatch.chdir(vector)
    result = run("extract", *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_recipe_of_two_pairs_asks_which(triple, tmp_path):
    text = RECIPE.format(**triple, scale=1, out_dtype="float32")
    twins = f"""\
  - model: {triple["target"]}
    parameters: {{role: grpo, pair: second}}
  - model: {triple["grpo"]}
    parameters: {{role: sft, pair: second}}
"""
    text = text.replace(f"base_model: {triple['target']}", "base_model: elsewhere")
    text = text.replace("models:\n", "models:\n" + twins, 1)
    text = text.replace(
        f"{triple['grpo']}\n    parameters: {{role: sft",
        f"{triple['sft']}/.\n    parameters: {{role: sft",
    )
    (tmp_path / "recipe.yaml").write_text(text)
    result = run("extract", tmp_path / "recipe.yaml", tmp_path / "v")
    assert isinstance(result.exception, RecipeError)
    assert "--pair NAME" in str(result.exception)
    chosen = run("extract", tmp_path / "recipe.yaml", "--pair", "default", tmp_path / "v")
    assert chosen.exit_code == 0
    head = CompactVector.open(tmp_path / "v").head
    assert head.donors["grpo"].reference == str(triple["grpo"])
