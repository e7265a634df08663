"""Every error of the preflight: (what is spoiled, what is said), by both ways in."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from rvec_merge.errors import RvecError
from tests.preflight.conftest import SPECIAL, WORDS, Trio, tokenizer

LAYER = "model.layers.1.mlp.up_proj.weight"


@dataclass(frozen=True)
class Mutation:
    """What is done to a sound trio, what must be said, and whether stock mergekit gets that far."""

    spoil: Callable[[Trio], object]
    said: tuple[str, ...]
    stock: bool = True


def scale(trio: Trio, value: object) -> None:
    trio.recipe["parameters"]["scale"] = value


def link(trio: Trio) -> None:
    """Give the sft donor's weights to the grpo donor, by a link in another folder."""
    path = trio.folder("grpo") / "model.safetensors"
    path.unlink()
    path.symlink_to(trio.folder("sft") / "model.safetensors")


def recorded_hash(trio: Trio) -> None:
    """Both donors were downloaded from the Hub, which stated one hash for their weights."""
    for name in ("grpo", "sft"):
        note = trio.folder(name) / ".cache/huggingface/download/model.safetensors.metadata"
        note.parent.mkdir(parents=True)
        note.write_text(f"{'c' * 40}\n{'a' * 64}\n0\n")


def second_spelling(trio: Trio) -> None:
    trio.donor("grpo")["model"] = f"{trio.folder('sft')}/../sft"


def escape(target: str) -> Callable[[Trio], None]:
    def spoil(trio: Trio) -> None:
        trio.shard("sft")

        def change(index: dict) -> None:
            index["weight_map"][LAYER] = target

        trio.edit_json("sft", "model.safetensors.index.json", change)

    return spoil


def header(change: Callable[[dict], object]) -> Callable[[Trio], None]:
    """Rewrite the header of the sft donor."""

    def spoil(trio: Trio) -> None:
        path = trio.folder("sft") / "model.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        change(head)
        new = json.dumps(head).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])

    return spoil


def raw(change: Callable[[bytes], bytes]) -> Callable[[Trio], None]:
    def spoil(trio: Trio) -> None:
        path = trio.folder("sft") / "model.safetensors"
        path.write_bytes(change(path.read_bytes()))

    return spoil


def overlap(head: dict) -> None:
    names = [name for name in head if name != "__metadata__"]
    head[names[1]] = dict(head[names[0]])


def out_of_bounds(head: dict) -> None:
    last = max((n for n in head if n != "__metadata__"), key=lambda n: head[n]["data_offsets"])
    low, high = head[last]["data_offsets"]
    head[last]["data_offsets"] = [low + (1 << 40), high + (1 << 40)]


def pickled(trio: Trio) -> None:
    from safetensors.torch import load_file

    path = trio.folder("sft") / "model.safetensors"
    torch.save(load_file(path), path.with_name("pytorch_model.bin"))
    path.unlink()


def untie(*names: str) -> Callable[[Trio], None]:
    def spoil(trio: Trio) -> None:
        for name in names:
            trio.edit_config(name, tie_word_embeddings=False)
            trio.edit_tensors(
                name,
                lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}),
            )

    return spoil


def padded(trio: Trio) -> None:
    for name in ("grpo", "sft"):
        trio.edit_config(name, vocab_size=72)

        def change(tensors: dict[str, torch.Tensor]) -> None:
            rows = tensors["model.embed_tokens.weight"]
            tensors["model.embed_tokens.weight"] = torch.cat([rows, rows[:8]])

        trio.edit_tensors(name, change)


def retokenized(trio: Trio, **parts: list[str]) -> None:
    (trio.folder("grpo") / "tokenizer.json").write_text(json.dumps(tokenizer(**parts)))


def repeat_a_key(trio: Trio) -> None:
    text = trio.text() + "out_dtype: float32\n"
    trio.text = lambda: text


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
    "target as sft": Mutation(
        lambda t: t.recipe.update(base_model=f"{t.folder('sft')}/."),
        ("The target is listed as a donor.", "only moves the target towards grpo"),
    ),
    "target as grpo": Mutation(
        lambda t: t.recipe.update(base_model=f"{t.folder('grpo')}/."),
        ("The target is listed as a donor.", "the target has had this training already"),
    ),
    "target with a role": Mutation(
        lambda t: t.recipe.update(base_model=str(t.folder("sft"))),
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


def test_a_sound_trio_passes(trio: Trio) -> None:
    result = trio.check()
    assert result.return_value == 0, result.output
    assert "can be merged.\n" in result.output, "no warning either"
    trio.merge_stock()


def test_every_problem_is_told_at_once(trio: Trio) -> None:
    trio.edit_config("sft", rms_norm_eps=1e-5)
    trio.edit_tensors("grpo", lambda x: x.pop(LAYER))
    retokenized(trio, special=SPECIAL[::-1])
    result = trio.check()
    said = ("rms_norm_eps", f"{LAYER}  missing in grpo", "2 special tokens differ", "3 errors.")
    assert all(part in result.output for part in said), result.output
    with pytest.raises(RvecError, match="There are 3 problems"):
        trio.merge_stock()


def test_every_wrong_key_is_told_at_once(trio: Trio) -> None:
    trio.recipe["out_dtyp"] = "float32"
    trio.donor("sft")["rol"] = "sft"
    text = str(trio.check().exception)
    assert "Unknown key 'out_dtyp'" in text
    assert "Unknown key 'rol'" in text


def test_no_room_on_the_disk(trio: Trio) -> None:
    # Sparse files: headers that promise more embedding rows than the disk could hold twice.
    rows = shutil.disk_usage(trio.root).free // 32
    for name in ("target", "grpo", "sft"):
        path = trio.folder(name) / "model.safetensors"
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        head = json.loads(data[8 : 8 + size])
        end = len(data) - 8 - size
        shape = [rows, 32]
        offsets = [end, end + rows * 64]
        first = head["model.embed_tokens.weight"]["data_offsets"]
        head["filler"] = {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first}
        head["model.embed_tokens.weight"] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": offsets,
        }
        new = json.dumps(head).encode()
        path.write_bytes(len(new).to_bytes(8, "little") + new + data[8 + size :])
        os.truncate(path, 8 + len(new) + offsets[1])
    text = trio.check().output
    assert "The disk has no room for the output." in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(trio: Trio) -> None:
    trio.out.parent.chmod(0o500)
    try:
        assert "is read-only" in trio.check().output
    finally:
        trio.out.parent.chmod(0o700)


def test_pickled_weights_pass_when_allowed(trio: Trio) -> None:
    pickled(trio)
    assert trio.check("--allow-pickle").return_value == 0


def test_a_pickle_that_runs_code_never_passes(trio: Trio) -> None:
    import pickle

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trio.root / "ran"),)

    (trio.folder("sft") / "model.safetensors").unlink()
    (trio.folder("sft") / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Payload()}))
    result = trio.check("--allow-pickle")
    assert "cannot be unpickled safely" in result.output
    assert not (trio.root / "ran").exists()


def test_overwriting_an_earlier_output(trio: Trio) -> None:
    trio.merge_stock()
    assert "The output exists." in trio.check().output
    assert trio.check("--overwrite").return_value == 0


def test_two_names_of_one_hub_model_are_one(trio: Trio) -> None:
    trio.donor("grpo")["model"] = "Org/Model"
    trio.donor("sft")["model"] = "org/model@main"
    result = trio.check()
    assert "both are org/model on the Hub" in result.output
    assert "Some inputs are not here yet" in result.output
