"""One tensor under two names: what trainers wrap a model in stands before its weights' names."""

from collections import Counter
from collections.abc import Iterable, Mapping

from rvec_merge.checkpoint.header import TensorInfo

# Wrappers that stand anywhere in a name: DDP, torch.compile, FSDP, activation checkpointing.
_ANYWHERE = frozenset(
    {"module", "_orig_mod", "_fsdp_wrapped_module", "_forward_module", "_checkpoint_wrapped_module"}
)
# What stands in front alone: PEFT, TRL's value heads, actors of RL trainers, a multimodal model's
# text model, which transformers 4 and 5 name in two orders.
_FRONT = frozenset(
    {"base_model", "model", "pretrained_model", "policy", "actor", "transformer", "language_model"}
)


def bare(name: str) -> str:
    """A tensor's name without what its model was wrapped in."""
    parts = [part for part in name.split(".") if part not in _ANYWHERE]
    while len(parts) > 2 and parts[0] in _FRONT:
        parts = parts[1:]
    return ".".join(parts)


def renamed(wanted: Mapping[str, TensorInfo], stored: Mapping[str, TensorInfo]) -> dict[str, str]:
    """The stored name by the wanted one, where wrappers alone keep the two apart.

    A name that both have stays, and one that could be two stored tensors is left as it is; shapes
    are equal.
    """
    theirs = _by_bare_name(name for name in stored if name not in wanted)
    ours = _by_bare_name(name for name in wanted if name not in stored)
    return {
        name: theirs[key]
        for key, name in ours.items()
        if key in theirs and wanted[name].shape == stored[theirs[key]].shape
    }


def _by_bare_name(names: Iterable[str]) -> dict[str, str]:
    pairs = [(bare(name), name) for name in names]
    counts = Counter(key for key, _ in pairs)
    return {key: name for key, name in pairs if counts[key] == 1}
