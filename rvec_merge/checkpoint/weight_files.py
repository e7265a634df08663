"""Which weight files a folder or a repo means: those that transformers loads from it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from rvec_merge.errors import CheckpointError
from rvec_merge.files.marks import ADAPTER_FILE

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
NAMED = "transformers_weights"  # in config.json: the file to load, whatever else is there


def first_files(names: Collection[str], config: Mapping[str, Any]) -> tuple[str, ...]:
    """The files that a loader could open first: weights, or an index of them.

    transformers opens the first: the file that ``config.json`` names, else one file before an
    index, safetensors before pickles. mergekit 0.1.5, for one, takes an index where there is one.

    Source: ``_get_resolved_checkpoint_files`` of transformers 5.23.
    """
    usual = tuple(name for name in (SINGLE, INDEX, *PICKLED) if name in names)
    named = config.get(NAMED)
    if named is None:
        return usual
    readable = isinstance(named, str) and named.endswith(
        (".safetensors", ".safetensors.index.json")
    )
    return tuple(dict.fromkeys((named, *usual))) if readable and named in names else ()


def pickled(where: object, files: Iterable[str]) -> CheckpointError:
    """The error for a model that has pickled weights alone."""
    return CheckpointError(
        "The checkpoint is pickled, and unpickling can run code.",
        [f"{where}", *files],
        "convert it (load it with transformers, call save_pretrained), or let torch "
        "unpickle tensors alone: rvec merge --allow-pickle.",
    )


def is_index(name: str) -> bool:
    """Whether a first file lists others."""
    return name.endswith(".index.json")


def check_shard(
    name: str,
    where: object,
    found: Collection[str],
    promised: Collection[str],
    others: Collection[str],
) -> None:
    """Hold a shard to its index. What the index does not name is loaded all the same.

    Args:
        found: the names of its tensors.
        promised: those that the index gives it.
        others: the tensors of the shards before it.

    Raises:
        CheckpointError: it lacks a tensor, or holds one that another shard holds too.
    """
    for tensors, headline in (
        (sorted(set(promised) - set(found)), "lacks {} of the tensors its index promises"),
        (sorted(set(found) & set(others)), "holds {} tensors that another shard holds too"),
    ):
        if tensors:
            raise CheckpointError(
                f"{name} {headline.format(len(tensors))}.",
                [f"{where}", *tensors[:5]],
                "fetch the checkpoint again, or have its author save it again.",
            )


def refuse_second_set(where: object, names: Iterable[str], loaded: Collection[str]) -> None:
    """Refuse a folder that holds weights beside those that were checked.

    Args:
        names: of the folder's files.
        loaded: those that were checked, the index among them.

    Raises:
        CheckpointError: another loader, or another version, could take the others.
    """
    firsts = (SINGLE, INDEX, *PICKLED, ADAPTER_FILE)
    second = sorted(
        name
        for name in names
        if name not in loaded
        and (name in firsts or (name.endswith(".safetensors") and "/" not in name))
    )
    if second:
        raise CheckpointError(
            "The folder holds a second set of weights.",
            [
                f"{where}",
                f"transformers loads {', '.join(sorted(loaded)[:3])}",
                *(f"beside them: {name}" for name in second[:5]),
            ],
            "remove what is beside them; nothing says where it came from.",
        )
