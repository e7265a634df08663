"""Ways to spoil a sound trio of checkpoints, or its recipe."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.preflight.conftest import Trio, tokenizer

LAYER = "model.layers.1.mlp.up_proj.weight"


def scale(trio: Trio, value: object) -> None:
    trio.recipe["parameters"]["scale"] = value


def sliced(trio: Trio, first: int, last: int) -> None:
    """Write the recipe as one slice of some layers of each model."""
    inputs = [*trio.recipe.pop("models"), {"model": trio.recipe["base_model"]}]
    trio.recipe["slices"] = [{"sources": [{**i, "layer_range": [first, last]} for i in inputs]}]


def link(trio: Trio) -> None:
    """Give the sft donor's weights to the grpo donor, as one file with two names."""
    path = trio.folder("grpo") / "model.safetensors"
    path.unlink()
    path.hardlink_to(trio.folder("sft") / "model.safetensors")


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


def adapter(folder: Path, base: str) -> None:
    """What PEFT saves, and what a trainer leaves beside it."""
    folder.mkdir(exist_ok=True)
    config = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 2, "lora_alpha": 4}
    config["target_modules"] = ["q_proj"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    factors = {f"{module}.lora_A.weight": torch.ones(2, 32)}
    factors[f"{module}.lora_B.weight"] = torch.ones(32, 2)
    save_file(factors, folder / "adapter_model.safetensors", {"format": "pt"})
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "scheduler.pt"):
        torch.save({}, folder / name)


def only(fill: Callable[[Path], object]) -> Callable[[Trio], None]:
    """Empty the sft donor's folder, and put something else there."""

    def spoil(trio: Trio) -> None:
        shutil.rmtree(trio.folder("sft"))
        trio.folder("sft").mkdir()
        fill(trio.folder("sft"))

    return spoil


def trainer_file(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    torch.save({}, path)


def run_folder(trio: Trio) -> Path:
    """A trainer's folder, with the sft donor as its checkpoint of step 9."""
    (trio.root / "run").mkdir()
    shutil.move(trio.folder("sft"), trio.root / "run" / "checkpoint-9")
    return trio.root / "run"


def wrapped(prefix: str) -> Callable[[Trio], None]:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        found = {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
        tensors.clear()
        tensors.update(found)

    return lambda trio: trio.edit_tensors("target", change)


def quantized(trio: Trio, config: object, **parts: torch.dtype) -> None:
    """Put the matrices of the sft donor's layers into the parts of some format."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in [n for n in tensors if n.endswith("proj.weight")]:
            matrix = tensors.pop(name)
            for part, dtype in parts.items():
                tensors[f"{name.removesuffix('weight')}{part}"] = matrix.to(dtype)

    trio.edit_tensors("sft", change)
    if config is not None:
        trio.edit_config("sft", quantization_config=config)


def retokenized(trio: Trio, **parts: list[str]) -> None:
    (trio.folder("grpo") / "tokenizer.json").write_text(json.dumps(tokenizer(**parts)))


def repeat_a_key(trio: Trio) -> None:
    text = trio.text() + "out_dtype: float32\n"
    trio.text = lambda: text
