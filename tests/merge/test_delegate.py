"""What cannot be streamed goes to mergekit, inside the same atomic output."""

import shutil

import pytest
import torch

from rvec_merge.errors import RvecError
from tests.conftest import RECIPE, load_tensors, make_triple
from tests.merge.conftest import add_tokenizer, assert_same_folder, rewrite, run


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folders = make_triple(tmp_path_factory.mktemp("models"), vocab_size=4096)
    add_tokenizer(folders)
    return folders


def text(folders, extra=""):
    return RECIPE.format(**folders, scale=0.7, out_dtype="bfloat16") + extra


def test_a_tokenizer_named_in_the_recipe(tmp_path, stock, models):
    recipe = text(models, "tokenizer: {source: union}\n")
    outcome = run(recipe, tmp_path / "out")
    assert "tokenizer" in outcome.executor
    theirs = stock(recipe)
    # mergekit loses it; ours keeps it.
    assert not (theirs / "generation_config.json").exists()
    shutil.copy(models["target"] / "generation_config.json", theirs)
    assert_same_folder(tmp_path / "out", theirs)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    # The libraries' own temporary files are private; what they become must not be.
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()}
    assert modes == {(tmp_path / "out").stat().st_mode & 0o666}


def test_another_method(tmp_path, stock, models):
    recipe = f"""\
merge_method: linear
models:
  - {{model: {models["target"]}, parameters: {{weight: 1}}}}
  - {{model: {models["grpo"]}, parameters: {{weight: 0.5}}}}
dtype: bfloat16
"""
    outcome = run(recipe, tmp_path / "out")
    assert "linear" in outcome.executor
    assert_same_folder(tmp_path / "out", stock(recipe))


def test_an_adapter(tmp_path, models):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    model = AutoModelForCausalLM.from_pretrained(models["sft"])
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    recipe = text({**models, "grpo": f"{models['sft']}+{tmp_path / 'adapter'}"})
    outcome = run(recipe, tmp_path / "out")
    assert outcome.executor is None
    found, target = load_tensors(tmp_path / "out"), load_tensors(models["target"])
    changed = {name for name in target if not torch.equal(found[name], target[name])}
    assert changed == {n for n in target if "q_proj.weight" in n}


@pytest.mark.parametrize("trained", ["modules_to_save", "head", "both", "target_modules"])
def test_an_adapter_that_trains_tied_embeddings(tmp_path, models, trained):
    """PEFT unties what it saves whole, and keeps tied what it adds to the head."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    layers = {
        "modules_to_save": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
        "head": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        "both": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]},
        "target_modules": {"target_modules": ["lm_head"]},
    }
    folders = {**models, "sft": shutil.copytree(models["sft"], tmp_path / "sft")}
    rewrite(folders["sft"], lambda _, t: t.float())
    model = AutoModelForCausalLM.from_pretrained(folders["sft"], dtype=torch.float32)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    wrapped = get_peft_model(model, LoraConfig(r=2, **layers[trained]))
    with torch.no_grad():
        for weight in wrapped.parameters():
            weight += 0.01 * weight.requires_grad * torch.randn_like(weight)
    wrapped.save_pretrained(tmp_path / "adapter")
    after = wrapped.merge_and_unload().state_dict()
    recipe = text({**folders, "grpo": f"{folders['sft']}+{tmp_path / 'adapter'}"})
    run(recipe.replace("bfloat16", "float32"), tmp_path / "out")
    load = AutoModelForCausalLM.from_pretrained
    target = load(models["target"], dtype=torch.float32).state_dict()
    for name, found in load(tmp_path / "out").state_dict().items():
        wanted = target[name] + 0.7 * (after[name] - before[name])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_pickled_weights(tmp_path, models):
    folders = dict(models)
    folders["sft"] = shutil.copytree(models["sft"], tmp_path / "sft")
    torch.save(load_tensors(folders["sft"]), folders["sft"] / "pytorch_model.bin")
    (folders["sft"] / "model.safetensors").unlink()
    with pytest.raises(RvecError, match="pickled"):
        run(text(folders), tmp_path / "out")
    outcome = run(text(folders), tmp_path / "out", allow_pickle=True)
    assert "pickled" in outcome.executor
    run(text(models), tmp_path / "streamed")
    same, other = load_tensors(tmp_path / "out"), load_tensors(tmp_path / "streamed")
    assert all(torch.equal(same[name], other[name]) for name in other)


@pytest.mark.parametrize("extra", ["", "tokenizer: {source: union}\n"])
def test_a_relative_folder_is_not_looked_for_on_the_hub(tmp_path, monkeypatch, models, extra):
    monkeypatch.chdir(models["target"].parent.parent)
    here = {role: folder.relative_to(folder.parent.parent) for role, folder in models.items()}
    outcome = run(text(here, extra), tmp_path / "out")
    assert bool(outcome.executor) == bool(extra)
    assert f"* ./{here['grpo']}\n" in (tmp_path / "out" / "README.md").read_text()


def test_mergekits_failures_are_told_and_leave_nothing(tmp_path, models):
    recipe = f"""\
merge_method: slerp
base_model: {models["target"]}
models:
  - {{model: {models["grpo"]}}}
  - {{model: {models["sft"]}}}
  - {{model: {models["target"]}}}
parameters: {{t: 0.5}}
dtype: bfloat16
"""
    with pytest.raises(RvecError):
        run(recipe, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
