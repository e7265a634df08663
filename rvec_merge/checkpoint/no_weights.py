"""What a folder without a model's weights holds instead, and the way from there to a model."""

from dataclasses import dataclass
from pathlib import Path

from rvec_merge.checkpoint.weight_files import INDEX, SINGLE
from rvec_merge.errors import CheckpointError
from rvec_merge.files.json_object import read_object
from rvec_merge.files.marks import ADAPTER_FILE

_SAFETENSORS = (SINGLE, INDEX)
_PICKLES = (".bin", ".pt", ".pth")


@dataclass(frozen=True)
class _Shards:
    """What a trainer leaves of a model that it divided, and what puts it together again."""

    pattern: str
    trainer: str
    fix: str


_SHARDS = (
    _Shards(
        "model_world_size_*_rank_*.pt",
        "verl",
        "consolidate them: python -m verl.model_merger merge --backend fsdp --local_dir {folder} "
        "--target_dir OUT.",
    ),
    _Shards(
        "*.distcp",
        "FSDP (torch's distributed checkpoints)",
        "consolidate them: accelerate merge-weights {folder} OUT, and copy config.json and the "
        "tokenizer there.",
    ),
    _Shards(
        "*_model_states.pt",
        "DeepSpeed",
        "consolidate them: python zero_to_fp32.py {above} OUT --safe_serialization (the script "
        "lies beside global_step*), and copy config.json and the tokenizer there.",
    ),
)


def no_weights(root: Path, name: str | None = None) -> CheckpointError:
    """The error for a folder in which transformers would find no weights.

    Args:
        name: what a recipe calls it; None for its path.
    """
    return (
        _adapter(root, name or f"{root}")
        or _sharded(root)
        or _deeper(root)
        or _strange_files(root)
        or CheckpointError(
            "There is no checkpoint.",
            [name or f"{root}", f"neither {' nor '.join(_SAFETENSORS)} is there"],
            "correct the path, or download the weights.",
        )
    )


def _adapter(root: Path, name: str) -> CheckpointError | None:
    if not (root / ADAPTER_FILE).is_file():
        return None
    try:
        base = read_object(root / ADAPTER_FILE, CheckpointError, "").get("base_model_name_or_path")
    except CheckpointError:
        base = None
    return CheckpointError(
        "This is an adapter, not a model.",
        [name, f"a PEFT adapter of {base or 'a base it does not name'}"],
        f"in a recipe, name its base and the adapter together: {base or 'BASE'}+{name}.",
    )


def _sharded(root: Path) -> CheckpointError | None:
    for shards in _SHARDS:
        found = [p for glob in ("", "*/", "*/*/") for p in sorted(root.glob(glob + shards.pattern))]
        if found:
            folder = found[0].parent
            return CheckpointError(
                "The folder holds a trainer's shards of a model, not a model.",
                [f"{root}", f"{found[0].relative_to(root)}: written by {shards.trainer}"],
                shards.fix.format(folder=folder, above=folder.parent),
            )
    return None


def _deeper(root: Path) -> CheckpointError | None:
    """A run's folder that holds the model one step further in."""
    inside = sorted({p.parent for name in _SAFETENSORS for p in root.glob(f"*/{name}")})
    if not inside:
        return None
    return CheckpointError(
        "The folder holds no checkpoint itself, but folders that do.",
        [f"{root}", *(f"{folder}" for folder in inside[:5])],
        "name one of them.",
    )


def _strange_files(root: Path) -> CheckpointError | None:
    """Files of names that no loader of models looks for; state of a trainer among them."""
    strange = sorted(p.name for p in root.iterdir() if p.suffix == ".safetensors")
    if strange:
        return CheckpointError(
            "There is no checkpoint.",
            [f"{root}", "files that transformers would not load:", *strange[:5]],
            f"download what is missing (shards need {INDEX}); one file that is the whole model "
            f"is found as {SINGLE}.",
        )
    pickles = sorted(p.name for p in root.iterdir() if p.suffix in _PICKLES)
    if not pickles:
        return None
    return CheckpointError(
        "There is no checkpoint.",
        [f"{root}", "pickled files that are no weights transformers would load:", *pickles[:5]],
        "correct the path; what a trainer saves for itself (optimizer.pt, training_args.bin, "
        "rng_state.pth) is no model.",
    )
