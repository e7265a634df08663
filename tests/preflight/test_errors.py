"""Every error of the preflight: (what is spoiled, what is said), by both ways in."""

import shutil

import pytest
import torch

from rvec_merge.errors import RvecError
from tests.preflight.conftest import SPECIAL, WORDS, Trio
from tests.preflight.mutations import (
    LAYER,
    Mutation,
    escape,
    header,
    link,
    out_of_bounds,
    overlap,
    padded,
    pickled,
    raw,
    recorded_hash,
    repeat_a_key,
    retokenized,
    scale,
    second_spelling,
    untie,
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
        lambda t: t.edit_config("sft", num_hidden_layers=10**7, layer_types=None),
        ("A config.json says what no model has.", "num_hidden_layers: 10000000"),
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
        ("A model needs code of its own to be read.", "--trust-remote-code"),
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
    "missing everywhere": Mutation(
        lambda t: [t.edit_tensors(n, lambda x: x.pop(LAYER)) for n in ("target", "grpo", "sft")],
        (f"{LAYER}  missing everywhere",),
    ),
    "extra": Mutation(
        lambda t: t.edit_tensors("grpo", lambda x: x.update({"value_head.weight": torch.ones(2)})),
        ("1 stored tensors belong to no part of the architecture.", "value_head.weight  in grpo"),
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
    # tokenizers
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
        ("The folder holds no checkpoint.",),
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


@pytest.mark.parametrize("name", ERRORS)
def test_rvec_check_says_what_is_wrong(name: str, trio: Trio) -> None:
    mutation = ERRORS[name]
    mutation.spoil(trio)
    result = trio.check()
    text = result.output + (result.stderr or "") + str(result.exception or "")
    assert result.exception is not None or result.return_value == 1
    assert all(part in text for part in mutation.said), text
    assert "Fix: " in text


@pytest.mark.parametrize("name", [name for name, m in ERRORS.items() if m.stock])
def test_stock_mergekit_says_the_same_and_writes_nothing(name: str, trio: Trio) -> None:
    mutation = ERRORS[name]
    mutation.spoil(trio)
    before = sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []
    with pytest.raises(RvecError) as caught:
        trio.merge_stock()
    assert all(part in str(caught.value) for part in mutation.said), str(caught.value)
    assert (sorted(p for p in trio.out.rglob("*")) if trio.out.exists() else []) == before
