"""What is published is the whole model, and what is not is refused by whoever is asked first."""

from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError, RvecError
from rvec_merge.vector.dense import extract_dense
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from rvec_merge.vector.lora import extract_lora
from tests.architectures import ARCHITECTURES, make_architecture
from tests.conftest import RECIPE, load_tensors, make_triple
from tests.merge.conftest import assert_same_tensors, run


def text_for(folders: dict[str, Path], **changes: object) -> str:
    return RECIPE.format(scale=1.0, out_dtype="bfloat16", **folders) + "".join(
        f"{key}: {value}\n" for key, value in changes.items()
    )


def vector_text(target: Path, vector: Path) -> str:
    return (
        f"merge_method: reasoning_vector\nbase_model: {target}\nmodels:\n"
        f"  - {{model: {vector}, parameters: {{role: vector}}}}\n"
        "parameters: {scale: 1.0}\nout_dtype: bfloat16\n"
    )


def names_in(folder: Path) -> set[str]:
    """By the safetensors library, as every loader reads them."""
    found: list[str] = []
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            found += file.keys()
    assert len(found) == len(set(found))
    return set(found)


def checked(recipe: str, *options: str) -> tuple[int, str]:
    """Exit status and output of `rvec check`."""
    wide = CliRunner(env={"COLUMNS": "400"})
    result = wide.invoke(rvec, ["check", recipe, *options], standalone_mode=False)
    if isinstance(result.exception, RvecError):
        return 1, str(result.exception)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.output


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_output_holds_all_that_the_target_stores(name: str, tmp_path: Path) -> None:
    """No definition is looked up, so that none can leave anything out."""
    folders = make_architecture(tmp_path, name)
    text, out = text_for(folders), tmp_path / "out"
    (tmp_path / "recipe.yaml").write_text(text)
    status, said = checked(str(tmp_path / "recipe.yaml"))
    assert status == 0, said
    assert run(text, out).executor is None
    _, kept = getattr(transformers, ARCHITECTURES[name][1]).from_pretrained(
        out, output_loading_info=True
    )
    assert not kept["missing_keys"]
    assert not kept["unexpected_keys"]
    assert names_in(out) == names_in(folders["target"])
    merged, target = load_tensors(out), load_tensors(folders["target"])
    grpo, sft = load_tensors(folders["grpo"]), load_tensors(folders["sft"])
    for tensor, value in merged.items():
        exact = target[tensor].double() + (grpo[tensor].double() - sft[tensor].double())
        assert torch.equal(value, exact.float().to(value.dtype)), tensor


@pytest.mark.parametrize("shard_size", [5_000_000_000, 10_000])
def test_a_name_that_is_planned_twice_is_one_tensor(shard_size: int, tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "qwen2_5_vl")
    outcome = run(text_for(folders), tmp_path / "out", shard_size=shard_size)
    assert names_in(tmp_path / "out") == names_in(folders["target"])
    assert outcome.tensors == len(names_in(folders["target"]))


def test_experts_missing_in_a_donor_are_missed_by_name(tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "qwen3_moe")
    path = folders["grpo"] / "model.safetensors"
    tensors = load_file(path)
    gone = "model.layers.1.mlp.experts.2"
    save_file({n: t for n, t in tensors.items() if not n.startswith(gone)}, path, {"format": "pt"})
    with pytest.raises(RvecError, match=r"experts\.2\.down_proj\.weight  missing in grpo"):
        run(text_for(folders), tmp_path / "out")


def test_a_compact_vector_of_an_architecture_that_mergekit_infers(tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "gpt_oss")
    vector = tmp_path / "vector"
    extract_compact(open_donors(folders["grpo"], folders["sft"]), vector, shard_size=10**9)
    run(text_for(folders), tmp_path / "out")
    run(vector_text(folders["target"], vector), tmp_path / "by-vector")
    assert_same_tensors(tmp_path / "by-vector", tmp_path / "out")


def test_a_compact_vector_of_a_mixture_of_experts(tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "qwen3_moe")
    vector = tmp_path / "vector"
    extract_compact(open_donors(folders["grpo"], folders["sft"]), vector, shard_size=10**9)
    run(text_for(folders), tmp_path / "out")
    run(vector_text(folders["target"], vector), tmp_path / "by-vector")
    assert_same_tensors(tmp_path / "by-vector", tmp_path / "out")


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_the_target_may_be_its_own_sft_donor(
    scale: float, tmp_path: Path, triple: dict[str, Path], stock_merge: Callable[..., Path]
) -> None:
    folders = {**triple, "target": triple["sft"]}
    text = RECIPE.format(scale=scale, out_dtype="float32", **folders)
    outcome = run(text, tmp_path / "out")
    merged, grpo = load_tensors(tmp_path / "out"), load_tensors(triple["grpo"])
    sft = load_tensors(triple["sft"])
    assert any("extrapolates its own training" in str(w) for w in outcome.warnings)
    stock = load_tensors(stock_merge(text))
    for name, value in merged.items():
        base = sft[name].float()
        assert torch.equal(value, base + scale * (grpo[name].float() - base)), name
        assert torch.equal(value, stock[name]), name


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "./org/name@main", ".hidden"])
def test_a_path_is_never_a_hub_id(name: str, tmp_path: Path, triple: dict[str, Path]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(scale=1.0, out_dtype="bfloat16", **{**triple, "grpo": name}))
    status, said = checked(str(recipe))
    assert status == 1
    assert "A model does not exist." in said
    result = CliRunner().invoke(rvec, ["merge", str(recipe), str(tmp_path / "out")])
    assert isinstance(result.exception, RvecError)
    assert "A model does not exist." in str(result.exception)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_stored_head_that_mergekit_leaves_out_is_merged(factor: int, tmp_path: Path) -> None:
    folders = make_triple(tmp_path, "Gemma")
    for folder in folders.values():
        tensors = load_tensors(folder)
        tensors["lm_head.weight"] = factor * tensors["model.embed_tokens.weight"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    run(text_for(folders), tmp_path / "out")
    merged = load_tensors(tmp_path / "out")
    assert merged.keys() == tensors.keys()
    assert torch.equal(merged["lm_head.weight"] / factor, merged["model.embed_tokens.weight"])


def spoiled(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Let a writer append a byte to the files that it has finished."""
    real = resolve_name(target)

    def write(*args: object, **kwargs: object) -> object:
        done = real(*args, **kwargs)
        folders = [a for a in args if isinstance(a, Path)] or [args[0].path.parent]  # type: ignore[attr-defined]
        for path in folders[0].iterdir():
            if path.suffix in {".safetensors", ".part"}:
                path.write_bytes(path.read_bytes() + b"\0")
        return done

    monkeypatch.setattr(target, write)


WRITERS: dict[str, tuple[str, Callable[[dict[str, Path], Path], object]]] = {
    "compact": (
        "rvec_merge.checkpoint.shards._Shard.close",
        lambda m, out: extract_compact(open_donors(m["grpo"], m["sft"]), out, shard_size=10**9),
    ),
    "dense": (
        "rvec_merge.checkpoint.shards._Shard.close",
        lambda m, out: extract_dense(open_donors(m["grpo"], m["sft"]), out, shard_size=10**9),
    ),
    "lora": (
        "rvec_merge.vector.lora._run_mergekit",
        lambda m, out: extract_lora(open_donors(m["grpo"], m["sft"]), out, rank=2),
    ),
    "mergekit's executor": (
        "rvec_merge.merge.run.run_mergekit",
        lambda m, out: run(
            f"merge_method: linear\nmodels:\n  - model: {m['target']}\n  - model: {m['sft']}\n"
            "parameters: {weight: 0.5}\ndtype: bfloat16\n",
            out,
        ),
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whatever_writes_it_is_read_again(
    writer: str, tmp_path: Path, triple: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    target, write = WRITERS[writer]
    spoiled(monkeypatch, target)
    with pytest.raises(OutputError, match="not what was planned"):
        write(triple, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
