"""A PEFT adapter's folder: what it adds to a model, and what it stores whole."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rvec_merge.checkpoint.adapter_config import LoraSettings, more_than_a_product, read_settings
from rvec_merge.checkpoint.header import read_header
from rvec_merge.checkpoint.tensor import TensorInfo
from rvec_merge.errors import CheckpointError, shortened
from rvec_merge.files.marks import ADAPTER_FILE

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
# Part of a stored name → what its tensor is: the two factors, under a linear layer's and an
# embedding's names, and the bias that LoRA can add.
_FACTOR = re.compile(r"(?:\.base_layer)?\.lora_(embedding_)?([AB])(\.weight|\.bias)?$")
_WRAPPED = re.compile(r"\.(?:base_layer|modules_to_save|original_module)(?=\.)")


@dataclass(frozen=True)
class Module:
    """What an adapter adds to one module.

    Attributes:
        name: the module, as the model that was trained calls it.
        a, b: its factors.
        bias: what is added to the layer's bias.
        embedding: the module is an embedding, whose weight is stored the other way round.
        scale: what the product is multiplied by.
    """

    name: str
    a: TensorInfo
    b: TensorInfo
    bias: TensorInfo | None
    embedding: bool
    scale: float


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, read from its configuration and its file's header.

    Attributes:
        root: the folder.
        base: the model it was trained on, as it says; None where it does not.
        revision: of the base.
        transposed: the layers store their weights as (in, out), says the configuration.
        modules: what it adds to, by module.
        whole: tensors that it stores whole, by the names that the trained model gives them.
    """

    root: Path
    base: str | None
    revision: str | None
    transposed: bool
    modules: Mapping[str, Module] = field(repr=False)
    whole: Mapping[str, TensorInfo] = field(repr=False)

    @property
    def path(self) -> Path:
        """Its weight file."""
        return self.root / WEIGHTS

    @classmethod
    def open(cls, root: Path) -> "Adapter":
        """Read an adapter's configuration and its header.

        Raises:
            CheckpointError: the folder holds no adapter, or one that is more than
                ``scaling · B · A``.
        """
        if not (root / ADAPTER_FILE).is_file() or not any(root.glob("adapter_model.*")):
            raise CheckpointError(
                "The folder holds no adapter.",
                [f"{root}", f"{ADAPTER_FILE} and {WEIGHTS} are not both there"],
                "correct the path after the +.",
            )
        if not (root / WEIGHTS).is_file():
            raise CheckpointError(
                "The adapter is pickled, and unpickling can run code.",
                [f"{root}"],
                "load it with peft and call save_pretrained, which writes safetensors.",
            )
        settings = read_settings(root)
        tensors = read_header(root / WEIGHTS)[0]
        modules, whole = _sorted(root, tensors, settings)
        return cls(
            root,
            settings.base_model_name_or_path or None,
            settings.revision,
            bool(settings.fan_in_fan_out),
            modules,
            whole,
        )


def _sorted(
    root: Path, tensors: Mapping[str, TensorInfo], settings: LoraSettings
) -> tuple[dict[str, Module], dict[str, TensorInfo]]:
    """The modules that the file adds to, and the tensors that it stores whole."""
    parts: dict[str, dict[str, TensorInfo]] = {}
    embeddings: set[str] = set()
    whole: dict[str, TensorInfo] = {}
    strange = []
    for stored, info in tensors.items():
        name = stored.removeprefix(PREFIX)
        factor = _FACTOR.search(name)
        if factor is None:
            plain = _WRAPPED.sub("", name)
            if "lora_" in plain or plain in whole:
                strange.append(f"{stored}  {info.shape}")
            whole[plain] = info
            continue
        module = _WRAPPED.sub("", name[: factor.start()])
        part = "bias" if factor[3] == ".bias" else factor[2]
        if part in parts.setdefault(module, {}) or (part != "bias" and len(info.shape) != 2):
            strange.append(f"{stored}  {info.shape}")
        parts[module][part] = info
        embeddings |= {module} if factor[1] else set()
    strange += [
        f"{m}: {' and '.join(sorted(p))} alone" for m, p in parts.items() if not {*"AB"} <= {*p}
    ]
    if strange:
        raise more_than_a_product(root, shortened([*strange]))
    modules = {}
    for name, part in parts.items():
        rank, scale = settings.scale_of(name)
        a, b = part["A"], part["B"]
        if not a.shape[0] == b.shape[1] == rank:
            raise CheckpointError(
                "An adapter's factors do not have the rank that its configuration states.",
                [f"{root}", f"{name}: {a.shape} and {b.shape}, rank {rank}"],
                "save the adapter again; its two files are not of one training run.",
            )
        modules[name] = Module(name, a, b, part.get("bias"), name in embeddings, scale)
    return modules, whole
