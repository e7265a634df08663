"""What is published is the whole model, and what is not is refused by whoever is asked first."""

import filecmp
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from rvec_merge import resolve
from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError, RecipeError, RvecError
from rvec_merge.recipe import parse_recipe
from rvec_merge.vector.dense import extract_dense
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from rvec_merge.vector.lora import extract_lora
from tests.architectures import ARCHITECTURES, make_architecture
from tests.conftest import RECIPE, load_tensors, make_triple
from tests.merge.conftest import assert_same_tensors, run

# Whose definition in mergekit 0.1.5 does not fit what transformers saves, and what is said of it.
REFUSED = {
    "phi3, tied": "requires 1 tensors that no input stores",
    "gpt_neox": "requires 6 tensors that no input stores",
    "cohere": "requires 4 tensors that no input stores",
    "falcon": "leaves out 4 of the 15 tensors",
    "llava": "language_model.lm_head.weight",
    "gemma3": "vision_tower.embeddings.patch_embedding.weight",
}


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
def test_an_output_holds_all_that_the_target_stores_or_is_refused(
    name: str, tmp_path: Path, stock_merge: Callable[..., Path]
) -> None:
    folders = make_architecture(tmp_path, name)
    text, out = text_for(folders), tmp_path / "out"
    (tmp_path / "recipe.yaml").write_text(text)
    status, said = checked(str(tmp_path / "recipe.yaml"))
    if name in REFUSED:
        assert status == 1
        assert REFUSED[name] in said
        assert f"architecture: {ARCHITECTURES[name][1]}" in said
        assert "mergekit's architecture definition" in said
        for merge in (lambda: run(text, out), lambda: stock_merge(text)):
            with pytest.raises(RvecError, match="mergekit's"):
                merge()
        assert not out.exists()
        return
    assert status == 0, said
    run(text, out)
    _, kept = getattr(transformers, ARCHITECTURES[name][1]).from_pretrained(
        out, output_loading_info=True
    )
    assert not kept["missing_keys"]
    assert not kept["unexpected_keys"]
    if "moe" not in name and name != "mixtral":  # whose experts mergekit writes fused
        assert names_in(out) == names_in(folders["target"])


@pytest.mark.parametrize("shard_size", [5_000_000_000, 10_000])
def test_a_name_that_is_planned_twice_is_one_tensor(shard_size: int, tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "qwen2_5_vl")
    outcome = run(text_for(folders), tmp_path / "out", shard_size=shard_size)
    assert names_in(tmp_path / "out") == names_in(folders["target"])
    assert outcome.tensors == len(names_in(folders["target"]))


def test_a_name_that_is_planned_twice_unlike_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a module might that lists another's tensors, and has a scale of its own."""
    folders = make_architecture(tmp_path, "qwen2_5_vl")
    plan = resolve.resolve(parse_recipe(text_for(folders)))
    scaled = replace(plan[0], parameters={**plan[0].parameters, "scale": 0.5})
    monkeypatch.setattr(resolve, "_planned", lambda *_: [*plan, scaled])
    with pytest.raises(RecipeError, match="1 tensors are planned twice, and not alike") as caught:
        run(text_for(folders), tmp_path / "out")
    assert f"{plan[0].name}: scale 1.0 from" in str(caught.value)
    assert "and scale 0.5 from" in str(caught.value)


def test_files_that_no_loader_opens_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_architecture(tmp_path, "qwen2_5_vl")
    monkeypatch.setattr("rvec_merge.resolve._distinct", list)  # the fault that left gaps
    with pytest.raises(OutputError, match="not what was planned") as caught:
        run(text_for(folders), tmp_path / "out")
    assert "model.safetensors: " in str(caught.value)
    assert not any(path.name.startswith((".out", "out")) for path in tmp_path.iterdir())


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


def test_a_compact_vector_that_needs_mergekits_executor_is_refused(tmp_path: Path) -> None:
    folders = make_architecture(tmp_path, "qwen3_moe")
    vector = tmp_path / "vector"
    extract_compact(open_donors(folders["grpo"], folders["sft"]), vector, shard_size=10**9)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(vector_text(folders["target"], vector))
    status, said = checked(str(recipe))
    assert status == 1
    assert "cannot read a compact vector file" in said
    assert "--format dense" in said
    with pytest.raises(RecipeError, match="cannot read a compact vector file"):
        run(recipe.read_text(), tmp_path / "out")


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


def test_a_folder_whose_name_mergekit_would_take_apart(
    tmp_path: Path, triple: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = {"target": "runs/target@step5", "grpo": "./a+b", "sft": "sft+x@y"}
    (tmp_path / "runs").mkdir()
    for role, name in odd.items():
        (tmp_path / name).symlink_to(triple[role])
    run(RECIPE.format(scale=1.0, out_dtype="bfloat16", **odd), tmp_path / "odd")
    run(RECIPE.format(scale=1.0, out_dtype="bfloat16", **triple), tmp_path / "plain")
    files = ("model.safetensors", "config.json")
    assert filecmp.cmpfiles("odd", "plain", files, shallow=False)[0] == list(files)
    result = CliRunner().invoke(rvec, ["verify", "odd"], standalone_mode=False)
    assert "same bits" in result.output


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


def test_merge_tells_every_error(tmp_path: Path, triple: dict[str, Path]) -> None:
    (tmp_path / "out").mkdir()
    folders = {"target": triple["target"], "grpo": "./nowhere", "sft": "./neither"}
    text = RECIPE.format(scale=1.0, out_dtype="bfloat16", **folders)
    with pytest.raises(RvecError, match="There are 3 problems") as caught:
        run(text, tmp_path / "out")
    for said in ("grpo: ./nowhere", "sft: ./neither", "The output exists."):
        assert said in str(caught.value)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_head_that_mergekit_leaves_out_may_be_absent_where_it_is_the_embeddings(
    factor: int, tmp_path: Path
) -> None:
    folders = make_triple(tmp_path, "Gemma")
    for folder in folders.values():
        tensors = load_tensors(folder)
        tensors["lm_head.weight"] = factor * tensors["model.embed_tokens.weight"]
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    text, out = text_for(folders), tmp_path / "out"
    if factor == 1:
        run(text, out)
        assert names_in(folders["target"]) - names_in(out) == {"lm_head.weight"}
        return
    with pytest.raises(RvecError, match=r"(?s)leaves out 1 of the 21.*lm_head\.weight"):
        run(text, out)


def test_layers_that_the_config_cannot_list_are_refused_before_mergekit_runs(
    tmp_path: Path, triple: dict[str, Path]
) -> None:
    pieces = "".join(
        f"  - sources: [{{model: {triple['target']}, layer_range: [{low}, 2]}}]\n" for low in (0, 1)
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"merge_method: passthrough\nslices:\n{pieces}dtype: bfloat16\n")
    status, said = checked(str(recipe))
    assert status == 1
    assert "The output's configuration is not valid." in said
    assert "`num_hidden_layers` (3)" in said  # the last line of what transformers says


def test_mergekits_own_error_is_told_to_its_last_line(
    tmp_path: Path, triple: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("".join(f"line {number}\n" for number in range(40)))

    monkeypatch.setattr(resolve, "_planned", fail)
    with pytest.raises(RecipeError, match="mergekit cannot plan this recipe") as caught:
        run(text_for(triple), tmp_path / "out")
    assert "line 39" in caught.value.facts
    assert len(caught.value.facts) < 30


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
        "rvec_merge.vector.shards._Shard.close",
        lambda m, out: extract_compact(open_donors(m["grpo"], m["sft"]), out, shard_size=10**9),
    ),
    "dense": (
        "rvec_merge.vector.shards._Shard.close",
        lambda m, out: extract_dense(open_donors(m["grpo"], m["sft"]), out, shard_size=10**9),
    ),
    "lora": (
        "rvec_merge.vector.lora._run_mergekit",
        lambda m, out: extract_lora(open_donors(m["grpo"], m["sft"]), out, rank=2),
    ),
    "mergekit's executor": (
        "rvec_merge.merge.run_mergekit",
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
