"""Merges by stock mergekit, loaded by transformers, against a float64 oracle."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import RECIPE, load_tensors, make_triple


def expected(folders, scale=1.0, dtype=torch.bfloat16):
    """``target + scale · (grpo − sft)`` in float64 (by way of numpy's rounding), rounded once."""
    target, sft, grpo = (load_tensors(folders[n]) for n in ("target", "sft", "grpo"))
    values = {
        k: t.double() + scale * (grpo[k].double() - sft[k].double()) for k, t in target.items()
    }
    return {k: v.to(dtype) for k, v in values.items()}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert found[name].dtype == wanted[name].dtype, name
        assert torch.equal(found[name], wanted[name]), name


def recipe(folders, scale=1.0, out_dtype="bfloat16"):
    return RECIPE.format(**folders, scale=scale, out_dtype=out_dtype)


@pytest.mark.parametrize(
    ("kind", "tied"),
    [
        ("Qwen2", True),
        ("Qwen2", False),
        ("Qwen3", True),
        ("Qwen3", False),
        ("Llama", True),
        ("Llama", False),
        ("Gemma", True),
    ],  # Gemma is always tied
)
def test_architectures_merge_and_load(tmp_path, stock_merge, kind, tied):
    from transformers import AutoModelForCausalLM

    folders = make_triple(tmp_path / "models", kind, tie_word_embeddings=tied)
    out = stock_merge(recipe(folders))
    assert_same(load_tensors(out), expected(folders))
    model = AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    assert torch.isfinite(model(torch.arange(8)[None]).logits).all()


def test_float32_output_keeps_what_bf16_would_lose(triple, stock_merge):
    # The inputs are bf16; rounding to bf16 on the way would show as values bf16 can hold.
    merged = load_tensors(stock_merge(recipe(triple, 0.3, "float32")))
    weight = merged["model.layers.0.mlp.up_proj.weight"]
    assert weight.dtype == torch.float32
    assert not torch.equal(weight, weight.bfloat16().float())
    oracle = expected(triple, 0.3, torch.float64)["model.layers.0.mlp.up_proj.weight"]
    assert (weight.double() - oracle).abs().max() < 1e-7 * oracle.abs().max()


def test_without_out_dtype_the_output_is_float32(triple, stock_merge, caplog):
    text = recipe(triple).replace("out_dtype: bfloat16\n", "# no out_dtype here\n")
    assert {t.dtype for t in load_tensors(stock_merge(text)).values()} == {torch.float32}
    assert "written in float32" in caplog.text


def test_minus_one_undoes_plus_one(triple, stock_merge):
    plus, minus = (load_tensors(stock_merge(recipe(triple, s, "float32"))) for s in (1, -1))
    target = load_tensors(triple["target"])
    for name, weight in target.items():
        middle = (plus[name].double() + minus[name].double()) / 2
        torch.testing.assert_close(middle, weight.double(), rtol=0, atol=1e-7)


def test_filters_and_gradients_on_scale_are_masks(triple, stock_merge):
    target, full = load_tensors(triple["target"]), expected(triple)
    masked = "\n    - {filter: self_attn, value: 1.0}\n    - {value: 0.0}"
    merged = load_tensors(stock_merge(recipe(triple, masked)))
    for name in target:
        assert torch.equal(merged[name], (full if "self_attn" in name else target)[name]), name
    merged = load_tensors(stock_merge(recipe(triple, "[0.0, 1.0]")))
    for name in target:  # outside the layers a gradient gives its first value
        assert torch.equal(merged[name], (full if "layers.1." in name else target)[name]), name


def test_slices_take_their_own_scale(triple, stock_merge):
    piece = """
  - sources:
      - {{model: {target}, layer_range: [{i}, {j}]}}
      - {{model: {grpo}, layer_range: [{i}, {j}], parameters: {{role: grpo}}}}
      - {{model: {sft}, layer_range: [{i}, {j}], parameters: {{role: sft}}}}
    parameters: {{scale: {scale}}}"""
    text = f"merge_method: reasoning_vector\nbase_model: {triple['target']}\nslices:"
    text += piece.format(**triple, i=0, j=1, scale=0.0) + piece.format(
        **triple, i=1, j=2, scale=1.0
    )
    merged = load_tensors(stock_merge(text + "\nout_dtype: bfloat16\n"))
    target, full = load_tensors(triple["target"]), expected(triple)
    for name in target:
        last = "layers.1." in name or name == "model.norm.weight"
        assert torch.equal(merged[name], (full if last else target)[name]), name


def save_vector(folder, donors):
    """A dense vector checkpoint, as any tool might write one."""
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text((donors["grpo"] / "config.json").read_text())
    sft, grpo = load_tensors(donors["sft"]), load_tensors(donors["grpo"])
    difference = {k: grpo[k].float() - sft[k].float() for k in grpo}
    save_file(difference, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


VECTOR = "  - {{model: {vector}, parameters: {{role: vector, weight: {weight}}}}}\n"


def test_a_dense_vector_is_added_as_it_stands(tmp_path, triple, stock_merge):
    vector = save_vector(tmp_path / "vector", triple)
    head, tail = (
        recipe(triple, 2.0).split("  - model")[0],
        recipe(triple, 2.0).split("parameters:\n"),
    )
    text = head + VECTOR.format(vector=vector, weight=0.5) + "parameters:\n" + tail[-1]
    assert_same(load_tensors(stock_merge(text)), expected(triple))


def test_vectors_add_up_with_their_weights(tmp_path, triple, stock_merge):
    vector = save_vector(tmp_path / "vector", triple)
    text = recipe(triple, 2.0, "float32").replace("role: grpo", "role: grpo, weight: 0.75")
    text = text.replace(
        "parameters:\n  scale", VECTOR.format(vector=vector, weight=-0.5) + "parameters:\n  scale"
    )
    merged, wanted = load_tensors(stock_merge(text)), expected(triple, 0.5, torch.float64)
    for name in wanted:
        torch.testing.assert_close(merged[name].double(), wanted[name], rtol=1e-6, atol=1e-8)


def test_density_and_controls_run_in_a_recipe(triple, stock_merge):
    plain = expected(triple)
    for setting in ("density: 0.1", "control: random", "control: permuted\n  seed: 3"):
        text = recipe(triple).replace("parameters:\n  scale", f"parameters:\n  {setting}\n  scale")
        once, again = (load_tensors(stock_merge(text)) for _ in range(2))
        assert_same(once, again)
        assert any(not torch.equal(once[k], plain[k]) for k in plain)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("  scale: 1.0", "  scael: 1.0"), r"Unknown parameter 'scael'.*did you mean 'scale'"),
        (("parameters:\n  scale: 1.0\n", ""), r"gives no scale.*Fix: add it"),
        (("scale: 1.0", "scale: strong"), r"scale is not a number.*'strong'"),
        (("role: sft", "role: stf"), r"unknown role 'stf'.*roles are grpo, sft, vector"),
        (("{role: sft}", "{}"), r"A donor has no role.*sft"),
        (("role: sft", "role: grpo"), r"two grpo donors"),
        (("role: sft", "role: sft, pair: b"), r"has no sft donor"),
        (("role: sft", "role: sft, weight: 2"), r"weight stands at the sft donor"),
        (("GRPO", "TARGET"), r"target is listed as a donor"),
        (("SFT", "TARGET"), None),
        (("SFT", "SFT/../grpo"), r"one checkpoint is listed under two names"),
        (("TARGET\n", "TARGET/../target/\n"), None),
        (("  scale: 1.0", "  scale: 1.0\n  density: 0"), r"density is out of range"),
        (("  scale: 1.0", "  scale: 1.0\n  control: noise"), r"Unknown control 'noise'"),
        (("  scale: 1.0", "  scale: 1.0\n  scale: 0.5"), r"key 'scale' is written twice"),
        (("out_dtype", "outdtype"), r"Unknown key 'outdtype'.*did you mean 'out_dtype'"),
    ],
)
def test_mistakes_are_refused_while_planning(triple, stock_merge, tmp_path, change, said):
    import re

    from rvec_merge.errors import RvecError

    marks = {"TARGET": triple["target"], "SFT": triple["sft"], "GRPO": triple["grpo"]}
    text = RECIPE.format(target="TARGET", sft="SFT", grpo="GRPO", scale=1.0, out_dtype="bfloat16")
    text = text.replace(*change)
    for mark, folder in marks.items():
        text = text.replace(mark, str(folder))
    if said is None:
        stock_merge(text)
        return
    before = set(tmp_path.iterdir())
    with pytest.raises(RvecError) as caught:
        stock_merge(text)
    assert re.search(said, str(caught.value).replace("\n", " "), re.IGNORECASE), str(caught.value)
    assert "Fix: " in str(caught.value)
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("name", "bad"), [("target", "nan"), ("sft", "inf"), ("grpo", "nan")])
def test_non_finite_inputs_are_refused_by_name(triple, stock_merge, tmp_path, name, bad):
    from safetensors.torch import save_file

    from rvec_merge.errors import NonFiniteError

    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text((triple[name] / "config.json").read_text())
    tensors = load_tensors(triple[name])
    tensors["model.layers.1.mlp.up_proj.weight"][0, 0] = float(bad)
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(NonFiniteError, match=r"layers\.1\.mlp\.up_proj(.|\n)*broken: 1 of"):
        stock_merge(recipe({**triple, name: broken}))


def test_shapes_that_differ_are_refused_with_the_vocabulary_hint(triple, stock_merge, tmp_path):
    from rvec_merge.errors import IncompatibleTensorsError

    wide = make_triple(tmp_path / "wide", vocab_size=72)
    with pytest.raises(IncompatibleTensorsError, match=r"embed_tokens(.|\n)*tokenizer: \{source"):
        stock_merge(recipe({**triple, "sft": wide["sft"], "grpo": wide["grpo"]}))
    deep = make_triple(tmp_path / "deep", intermediate_size=64)
    with pytest.raises(IncompatibleTensorsError, match="one architecture and size"):
        stock_merge(recipe({**triple, "target": deep["target"]}))


def test_the_output_may_not_be_an_input(triple, tmp_path):
    text = recipe(triple)
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    run = command("mergekit-yaml", str(path), str(triple["sft"]))
    assert run.returncode != 0
    assert "The output folder is one of the inputs." in run.stderr


def command(name: str, *args: str) -> subprocess.CompletedProcess[str]:
    path = str(Path(sys.executable).with_name(name))
    return subprocess.run([path, *args], capture_output=True, text=True, timeout=300)


def test_the_stock_commands_see_the_method(triple, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(triple))
    wanted = expected(triple)
    runs = {
        "script": ("mergekit-yaml", str(path), str(tmp_path / "script")),
        "module": (
            "python",
            "-m",
            "mergekit.scripts.run_yaml",
            str(path),
            str(tmp_path / "module"),
        ),
    }
    for name, (program, *args) in runs.items():
        run = command(program, *args)
        assert run.returncode == 0, run.stderr
        assert_same(load_tensors(tmp_path / name), wanted)
    multi = tmp_path / "multi.yaml"
    multi.write_text(f"name: first\n{recipe(triple)}")
    run = command(
        "mergekit-multi", str(multi), "--intermediate-dir", str(tmp_path / "steps"),
        "--out-path", str(tmp_path / "multi"),
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
