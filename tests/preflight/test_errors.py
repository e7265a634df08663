"""Every error of the preflight: (what is spoiled, what is said), by both ways in."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import RvecError
from rvec_merge.preflight import configs
from tests.preflight.conftest import SPECIAL, WORDS, Trio
from tests.preflight.mutations import (
    LAYER,
    Mutation,
    adapter,
    escape,
    header,
    link,
    only,
    out_of_bounds,
    overlap,
    padded,
    pickled,
    quantized,
    raw,
    recorded_hash,
    repeat_a_key,
    retokenized,
    run_folder,
    scale,
    second_spelling,
    sliced,
    trainer_file,
    untie,
    wrapped,
)

ERRORS = {
    # the recipe's text
    "unknown key": Mutation(
        lambda t: t.recipe.update(out_dtyp="x"),
        ("Unknown key 'out_dtyp'", "did you mean 'out_dtype'?"),
    ),
    "key at the wrong level": Mutation(
        lambda t: t.donor("grpo").update(role="grpo"), ("Unknown key 'role'", "models[0]")
    ),
    "misspelt parameter": Mutation(
        lambda t: t.recipe.update(parameters={"scael": 1.0, "scale": 1.0}),
        ("Unknown parameter 'scael'", "did you mean 'scale'?"),
    ),
    "misspelt donor parameter": Mutation(
        lambda t: t.donor("grpo")["parameters"].update(wieght=1.0),
        ("Unknown parameter 'wieght'", "did you mean 'weight'?"),
    ),
    "scale at a donor": Mutation(
        lambda t: t.donor("grpo")["parameters"].update(scale=0.5),
        ("Parameter 'scale' stands at a donor",),
    ),
    "role above the donors": Mutation(
        lambda t: t.recipe["parameters"].update(role="grpo"),
        ("Parameter 'role' belongs to a donor",),
    ),
    "no scale": Mutation(lambda t: t.recipe.pop("parameters"), ("The recipe gives no scale.",)),
    "no role": Mutation(lambda t: t.donor("sft").pop("parameters"), ("A donor has no role",)),
    "unknown role": Mutation(
        lambda t: t.donor("sft").update(parameters={"role": "rlhf"}), ("unknown role 'rlhf'",)
    ),
    "clashing roles": Mutation(
        lambda t: t.donor("sft").update(parameters={"role": "grpo"}),
        ("Pair 'default' has two grpo donors",),
    ),
    "no twin": Mutation(lambda t: t.recipe["models"].pop(), ("Pair 'default' has no sft donor",)),
    "no target": Mutation(lambda t: t.recipe.pop("base_model"), ("The recipe names no target",)),
    "weight at sft": Mutation(
        lambda t: t.donor("sft")["parameters"].update(weight=0.5),
        ("A weight stands at the sft donor",),
    ),
    "a key twice": Mutation(
        repeat_a_key,
        ("The key 'out_dtype' is written twice.",),
    ),
    "a filter that matches nothing": Mutation(
        lambda t: scale(t, [{"filter": "self_atn", "value": 1.0}, {"value": 0.0}]),
        ("A filter of scale matches no tensor.", "filter: self_atn", "did you mean 'self_attn'?"),
    ),
    # identity
    "two spellings": Mutation(
        second_spelling, ("One checkpoint is listed under two names.", "a checkpoint minus itself")
    ),
    "one checkpoint twice": Mutation(
        lambda t: t.donor("grpo").update(model=str(t.folder("sft"))),
        ("One checkpoint is listed under two names.",),
    ),
    "linked weights": Mutation(link, ("One checkpoint is listed under two names.", "identical")),
    "one hash": Mutation(recorded_hash, ("One checkpoint is listed under two names.", "identical")),
    "target as grpo": Mutation(
        lambda t: t.recipe.update(base_model=f"{t.folder('grpo')}/."),
        ("The target is listed as a donor.", "the target has had this training already"),
    ),
    "target with a role": Mutation(
        lambda t: t.recipe.update(base_model=str(t.folder("grpo"))),
        ("The target is listed as a donor.",),
    ),
    # configs; mergekit itself stops at other architectures and absent configs
    "architecture": Mutation(
        lambda t: t.edit_config("sft", architectures=["LlamaForCausalLM"], model_type="llama"),
        ("sft and target are not the same architecture.", 'sft ["LlamaForCausalLM"]'),
        stock=False,
    ),
    "hidden size": Mutation(
        lambda t: t.edit_config("grpo", hidden_size=64),
        ("grpo and target are not the same architecture.", "hidden_size: target 32, grpo 64"),
    ),
    "layer count": Mutation(
        lambda t: t.edit_config("grpo", num_hidden_layers=1, layer_types=None),
        ("num_hidden_layers: target 2, grpo 1",),
    ),
    "rope": Mutation(
        lambda t: t.edit_config(
            "grpo", rope_parameters={"rope_theta": 5e5, "rope_type": "default"}
        ),
        ("rope_parameters: target", '"rope_theta": 500000.0'),
    ),
    "activation": Mutation(
        lambda t: t.edit_config("sft", hidden_act="gelu"),
        ('hidden_act: target "silu", sft "gelu"',),
    ),
    "norm epsilon": Mutation(
        lambda t: t.edit_config("sft", rms_norm_eps=1e-5),
        ("rms_norm_eps: target 1e-06, sft 1e-05",),
    ),
    "no config": Mutation(
        lambda t: (t.folder("sft") / "config.json").unlink(),
        ("A model has no config.json.",),
        stock=False,
    ),
    "broken config": Mutation(
        lambda t: (t.folder("sft") / "config.json").write_text("{"),
        ("config.json cannot be read.",),
        stock=False,
    ),
    "layers without end": Mutation(
        lambda t: t.edit_config("sft", num_hidden_layers=10**5, layer_types=None),
        ("A config.json says what no model has.", "num_hidden_layers: 100000"),
    ),
    "a model type that is no text": Mutation(
        lambda t: t.edit_config("sft", model_type=[]),
        ("A config.json says what no model has.", "model_type: []"),
        stock=False,  # mergekit itself stops at it
    ),
    "remote code": Mutation(
        lambda t: t.edit_config(
            "sft", model_type="strange", auto_map={"AutoConfig": "configuration_strange.Strange"}
        ),
        ("sft and target are not the same architecture.", 'model_type: target "qwen2"'),
        stock=False,
    ),
    "quantized": Mutation(
        lambda t: t.edit_config("target", quantization_config={"quant_method": "fp8"}),
        ("A model is quantized", "quant_method: fp8"),
    ),
    # tensors
    "missing in a donor": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.pop(LAYER)),
        ("1 of 26 tensors are not in every input.", f"{LAYER}  missing in sft"),
    ),
    "missing in the target": Mutation(
        lambda t: t.edit_tensors("target", lambda x: x.pop(LAYER)), (f"{LAYER}  missing in target",)
    ),
    "extra": Mutation(
        lambda t: t.edit_tensors("grpo", lambda x: x.update({"value_head.weight": torch.ones(2)})),
        ("value_head.weight", "architecture"),  # in other words where mergekit plans
    ),
    "shape": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.update({LAYER: torch.ones(3, 3)})),
        (f"{LAYER}  (48, 32) and (3, 3)", "one architecture and size"),
    ),
    "padded vocabulary": Mutation(
        padded,
        ("model.embed_tokens.weight  (64, 32) and (72, 32)", "tokenizer: {source: base}"),
    ),
    "donors untied": Mutation(
        untie("grpo", "sft"),
        ("Some inputs tie their embeddings and some do not.", "untied, with lm_head.weight"),
    ),
    "target untied": Mutation(
        untie("target"), ("Some inputs tie their embeddings", "tied, without lm_head.weight")
    ),
    "untied without a head": Mutation(
        lambda t: (
            untie("target", "grpo", "sft")(t),
            t.edit_tensors("sft", lambda x: x.pop("lm_head.weight")),
        ),
        ("An untied model has no lm_head.weight.",),
    ),
    # what is no weights: one error each
    "shards without their index": Mutation(
        lambda t: (t.shard("sft"), (t.folder("sft") / "model.safetensors.index.json").unlink()),
        ("There is no checkpoint.", "model-00001-of-00002.safetensors", "shards need model."),
        stock=False,  # mergekit finds no model files itself
    ),
    "an adapter alone that names no base": Mutation(
        only(lambda folder: adapter(folder, "")),
        ("This is an adapter, not a model.", "a base it does not name", "BASE+"),
        stock=False,
    ),
    "DeepSpeed's shards": Mutation(
        only(lambda f: trainer_file(f / "global_step9/mp_rank_00_model_states.pt")),
        ("written by DeepSpeed", "zero_to_fp32.py"),
        stock=False,
    ),
    "FSDP's shards": Mutation(
        only(lambda f: trainer_file(f / "pytorch_model_fsdp_0/__0_0.distcp")),
        ("written by FSDP", "accelerate merge-weights"),
        stock=False,
    ),
    "verl's shards": Mutation(
        only(lambda f: trainer_file(f / "actor/model_world_size_2_rank_0.pt")),
        ("written by verl", "verl.model_merger merge"),
        stock=False,
    ),
    "a trainer's state alone": Mutation(
        only(lambda f: trainer_file(f / "optimizer.pt")),
        ("There is no checkpoint.", "optimizer.pt"),
        stock=False,
    ),
    "a run's folder": Mutation(
        lambda t: t.donor("sft").update(model=str(run_folder(t))),
        ("but folders that do", "checkpoint-9"),
        stock=False,
    ),
    **{
        f"a wrapper's prefix, {prefix}": Mutation(
            wrapped(prefix), (f"26 of 26 tensors' names carry the prefix {prefix}", "target")
        )
        for prefix in ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "base_model.model.")
    },
    "a wrapper's prefix in one name": Mutation(
        lambda t: t.edit_tensors(
            "target",
            lambda x: x.update({"model._orig_mod.norm.weight": x.pop("model.norm.weight")}),
        ),
        ("1 of 26 tensors' names carry the prefix _orig_mod.", "torch.compile"),
    ),
    "weights that ZeRO-3 kept": Mutation(
        lambda t: t.edit_tensors("sft", lambda x: x.update({LAYER: torch.ones(0)})),
        ("1 of 26 tensors are empty.", f"{LAYER}  (0,)", "zero_to_fp32.py"),
    ),
    "GPTQ": Mutation(
        lambda t: quantized(t, {"quant_method": "gptq"}, qweight=torch.int32, qzeros=torch.int32),
        ("A model is quantized", "quant_method: gptq", "GPTQ or AWQ: "),
    ),
    "bitsandbytes": Mutation(
        lambda t: quantized(t, None, weight=torch.uint8, absmax=torch.float32),
        ("A model is quantized", "bitsandbytes: "),
    ),
    "FP8": Mutation(
        lambda t: quantized(t, None, weight=torch.float8_e4m3fn, weight_scale_inv=torch.float32),
        ("A model is quantized", "FP8: "),
    ),
    "FP8 without scales": Mutation(
        lambda t: quantized(t, None, weight=torch.float8_e5m2),
        ("A model is quantized", "FP8: ", "float8_e5m2"),
    ),
    "an integer's dtype": Mutation(
        lambda t: t.recipe.update(out_dtype="int64"), ("Unknown out_dtype 'int64'",)
    ),
    "a dtype that config.json cannot hold": Mutation(
        lambda t: t.recipe.update(out_dtype="torch.float32"),
        ("Unknown out_dtype 'torch.float32'", "did you mean 'float32'?"),
    ),
    "an empty dtype": Mutation(lambda t: t.recipe.update(dtype=""), ("Unknown dtype ''",)),
    "a module that the architecture lacks": Mutation(
        lambda t: t.recipe.update(modules={"vision": {"models": t.recipe.pop("models")}}),
        ("mergekit cannot plan this recipe.", "KeyError: 'vision'"),
        stock=False,  # mergekit's own words
    ),
    # slices
    "no layers": Mutation(
        lambda t: sliced(t, 1, 1), ("A layer_range of slices[0] holds no layers.", "[1, 1]")
    ),
    "layers backwards": Mutation(lambda t: sliced(t, 2, 0), ("holds no layers.", "[2, 0]")),
    "layers from the end": Mutation(lambda t: sliced(t, -2, 2), ("holds no layers.", "[-2, 2]")),
    "layers beyond the last": Mutation(
        lambda t: sliced(t, 0, 3), ("The slices name 12 tensors that no input stores.", "layers.2.")
    ),
    "untied, and no head anywhere": Mutation(
        lambda t: [t.edit_config(n, tie_word_embeddings=False) for n in ("target", "grpo", "sft")],
        ("An untied model has no lm_head.weight.", "grpo", "untied, without"),
    ),
    # tokenizers
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
    # files
    "path escape": Mutation(escape("../x.safetensors"), ("leaves the checkpoint's folder",), False),
    "absolute path": Mutation(escape("/etc/passwd"), ("leaves the checkpoint's folder",), False),
    "missing shard": Mutation(escape("model-3.safetensors"), ("A shard that the index names",)),
    "no checkpoint": Mutation(
        lambda t: (t.folder("sft") / "model.safetensors").unlink(),
        ("There is no checkpoint.",),
        stock=False,
    ),
    "no folder": Mutation(
        lambda t: shutil.rmtree(t.folder("sft")), ("A model does not exist.",), stock=False
    ),
    "truncated weights": Mutation(raw(lambda d: d[:-100]), ("not a readable safetensors",), False),
    "truncated header": Mutation(raw(lambda d: d[:20]), ("not a readable safetensors",), False),
    "oversized header": Mutation(
        raw(lambda d: (100_000_001).to_bytes(8, "little") + d[8:]),
        ("not a readable safetensors",),
        stock=False,
    ),
    "overlapping tensors": Mutation(header(overlap), ("not a readable safetensors",), False),
    "out of bounds": Mutation(header(out_of_bounds), ("not a readable safetensors",), False),
    "pickled": Mutation(pickled, ("The checkpoint is pickled", "--allow-pickle")),
    "an adapter's folder without one": Mutation(
        lambda t: t.donor("grpo").update(model=f"{t.folder('grpo')}+{t.folder('sft')}"),
        ("The folder holds no adapter.",),
        stock=False,
    ),
    "an adapter of another model": Mutation(
        lambda t: (
            adapter(t.root / "adapter", "org/base"),
            t.edit_adapter(
                lambda x: x.update({k.replace("layers.0", "layers.7"): x.pop(k) for k in list(x)})
            ),
            t.donor("grpo").update(model=f"{t.folder('grpo')}+{t.root}/adapter"),
        ),
        ("2 of 2 tensors of an adapter fit no tensor", "no model.layers.7.self_attn.q_proj"),
        stock=False,
    ),
    "an adapter of another size": Mutation(
        lambda t: (
            adapter(t.root / "adapter", "org/base"),
            t.edit_adapter(
                lambda x: x.update({k: torch.ones((2, 9) if "lora_A" in k else (7, 2)) for k in x})
            ),
            t.donor("grpo").update(model=f"{t.folder('grpo')}+{t.root}/adapter"),
        ),
        ("2 of 2 tensors of an adapter fit no tensor", "(7, 2): the model's weight is (32, 32)"),
        stock=False,
    ),
    "no adapter": Mutation(
        lambda t: t.donor("grpo").update(model=f"{t.folder('grpo')}+{t.root}/adapter"),
        ("An adapter does not exist.",),
        stock=False,
    ),
    # the output
    "output is an input": Mutation(
        lambda t: setattr(t, "out", t.folder("sft")), ("The output folder is one of the inputs.",)
    ),
    "output in an input": Mutation(
        lambda t: setattr(t, "out", t.folder("sft") / "merged"),
        ("The output folder is one of the inputs.",),
    ),
    "output exists": Mutation(lambda t: t.out.mkdir(), ("The output exists.",), stock=False),
    "output below a file": Mutation(
        lambda t: setattr(t, "out", t.folder("sft").parent / "recipe.yaml" / "out"),
        ("The output cannot be written.", "is not a folder"),
        stock=False,
    ),
}


ONE_ERROR = (
    *(name for name in ERRORS if name.startswith(("a wrapper's", "FP8"))),
    "GPTQ",
    "bitsandbytes",
    "weights that ZeRO-3 kept",
)


@pytest.mark.parametrize("name", ONE_ERROR)
def test_what_is_no_weights_is_told_once(name: str, trio: Trio) -> None:
    ERRORS[name].spoil(trio)
    assert "recipe.yaml cannot be merged: 1 error.\n" in trio.check().output


ALLOWED = {
    "rope_parameters": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
    "rms_norm_eps": {"rms_norm_eps": 1e-5},
    "hidden_act": {"hidden_act": "gelu"},
}


@pytest.mark.parametrize("setting", ALLOWED)
def test_a_setting_that_differs_on_purpose_can_be_allowed(setting: str, trio: Trio) -> None:
    trio.edit_config("grpo", **ALLOWED[setting])
    assert f"rvec merge --allow {setting}" in trio.check().output
    others = [option for name in ALLOWED if name != setting for option in ("--allow", name)]
    assert trio.check(*others).return_value == 1
    allowed = trio.check("--allow", setting)
    assert allowed.return_value == 0
    assert f"{setting}: target" in allowed.output
    trio.merge("--allow", setting)
    assert json.loads((trio.out / "rvec_merge.json").read_text())["allowed"] == [setting]
    verified = CliRunner().invoke(rvec, ["verify", str(trio.out)], standalone_mode=False)
    assert "same bits" in verified.output


def test_what_changes_the_weights_cannot_be_allowed(trio: Trio) -> None:
    assert configs.ALLOWABLE < configs.DECISIVE
    trio.edit_config("grpo", hidden_size=64, rms_norm_eps=1e-5)
    assert "--allow" not in trio.check().output
    told = trio.check("--allow", "hidden_size", "--allow", "rms_norm_eps").output
    assert "Configs cannot be allowed to differ in hidden_size." in told


@pytest.mark.parametrize("name", ERRORS)
def test_rvec_check_says_what_is_wrong(name: str, trio: Trio) -> None:
    mutation = ERRORS[name]
    mutation.spoil(trio)
    result = trio.check()
    text = result.output + (result.stderr or "") + str(result.exception or "")
    assert result.exception is not None or result.return_value == 1
    assert all(part in text for part in mutation.said), text
    assert "Fix: " in text


@pytest.mark.parametrize("name", ERRORS)
def test_rvec_merge_says_the_same_and_writes_nothing(name: str, trio: Trio) -> None:
    mutation = ERRORS[name]
    mutation.spoil(trio)
    before = sorted(trio.root.parent.rglob("*"))
    with pytest.raises(RvecError) as caught:
        trio.merge()
    assert all(part in str(caught.value) for part in mutation.said), str(caught.value)
    assert {*trio.root.parent.rglob("*")} - {*before} <= {trio.root / "recipe.yaml"}


@pytest.mark.parametrize("name", [name for name, m in ERRORS.items() if m.stock])
def test_stock_mergekit_says_the_same_and_writes_nothing(name: str, trio: Trio) -> None:
    mutation = ERRORS[name]
    mutation.spoil(trio)
    before = sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []
    with pytest.raises(RvecError) as caught:
        trio.merge_stock()
    assert all(part in str(caught.value) for part in mutation.said), str(caught.value)
    assert (sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []) == before
