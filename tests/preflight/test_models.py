"""Inputs that cannot be seen: no checkpoint, a broken one, or another thing than a model."""

import os
import shutil

import pytest
import torch

from tests.preflight.conftest import Trio
from tests.preflight.mutations import (
    adapter,
    escape,
    header,
    only,
    out_of_bounds,
    overlap,
    pickled,
    raw,
    run_folder,
    trainer_file,
)
from tests.preflight.told import Errors, Mutation

ERRORS = {
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
}


class TestErrors(Errors):
    TABLE = ERRORS


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


def test_a_cached_index_without_a_weight_map_is_refused(
    trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trio.folder("sft")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": []}')
    monkeypatch.setattr("rvec_merge.preflight.models.cached_snapshot", lambda _: folder)
    trio.donor("sft")["model"] = "org/sft"
    result = trio.check()
    assert result.return_value == 1
    assert "model.safetensors.index.json has no weight_map." in result.output
