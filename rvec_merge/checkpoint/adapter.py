"""A PEFT adapter's folder: its configuration, as ``peft`` reads it, and what it stores."""

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.header import read_header
from rvec_merge.checkpoint.info import TensorInfo
from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError, shortened, why
from rvec_merge.files.marks import ADAPTER_FILE

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
# Part of a stored name → what its tensor is: the two factors, under a linear layer's and an
# embedding's names, and the bias that LoRA can add.
_FACTOR = re.compile(r"(?:\.base_layer)?\.lora_(embedding_)?([AB])(\.weight|\.bias)?$")
_WRAPPED = re.compile(r"\.(?:base_layer|modules_to_save|original_module)(?=\.)")
# What changes what an adapter's tensors mean, in a way that ``B · A · scaling`` is not.
_REFUSED = {
    "use_dora": "DoRA, whose magnitudes are no difference",
    "use_qalora": "QA-LoRA, which pools its input",
    "use_bdlora": "block-diagonal factors",
    "arrow_config": "Arrow, which routes between adapters",
    "kasa_config": "KaSA, which changes the base's weights",
    "monteclora_config": "MonteCLoRA, which samples its weights",
    "alora_invocation_tokens": "aLoRA, which is applied to some tokens alone",
    "layer_replication": "layers that the base does not have",
    "trainable_token_indices": "single tokens' embeddings",
    "target_parameters": "parameters that are no layer's weight (target_parameters)",
    "megatron_config": "Megatron's layers",
}
_PLAIN_STARTS = ("gaussian", "orthogonal", "eva", "mica")  # they leave the base as it was
_FIX = "merge it with peft (merge_and_unload) in float32, save that, and name the folder."


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
        """Read an adapter's configuration with ``peft``, and its header.

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
        config = _read_config(root)
        tensors = read_header(root / WEIGHTS)[0]
        modules, whole = _sorted(root, tensors, config)
        return cls(
            root,
            config.base_model_name_or_path or None,
            config.revision,
            bool(config.fan_in_fan_out),
            modules,
            whole,
        )


def _read_config(root: Path) -> Any:
    read_json(root / ADAPTER_FILE)  # within our limits, and with our errors, before peft's
    import peft

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = peft.PeftConfig.from_pretrained(str(root))
    # peft raises whatever comes: ValueError, TypeError, KeyError.
    except Exception as error:
        raise CheckpointError(
            "peft cannot read an adapter's configuration.",
            [f"{root / ADAPTER_FILE}", why(error)],
            "save the adapter again with peft, or upgrade peft.",
        ) from None
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    if not isinstance(config, peft.LoraConfig) or kind != "LORA":
        raise _refused(root, [f"peft_type: {kind}"])
    if facts := list(_more_than_a_product(config)):
        raise _refused(root, facts)
    return config


def _more_than_a_product(config: Any) -> Iterator[str]:
    for key, meaning in _REFUSED.items():
        if getattr(config, key, None):
            yield f"{key}: {meaning}"
    start = config.init_lora_weights
    if isinstance(start, str) and start.lower() not in _PLAIN_STARTS:
        yield f"init_lora_weights: {start} changes the base's weights before training"


def _refused(root: Path, facts: list[str]) -> CheckpointError:
    headline = "An adapter is more than a product that is added to weights."
    return CheckpointError(headline, [f"{root}", *facts], _FIX)


def _sorted(
    root: Path, tensors: Mapping[str, TensorInfo], config: Any
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
        raise _refused(root, shortened([*strange]))
    modules = {}
    for name, part in parts.items():
        rank, scale = _scale(config, name)
        a, b = part["A"], part["B"]
        if not a.shape[0] == b.shape[1] == rank:
            raise CheckpointError(
                "An adapter's factors do not have the rank that its configuration states.",
                [f"{root}", f"{name}: {a.shape} and {b.shape}, rank {rank}"],
                "save the adapter again; its two files are not of one training run.",
            )
        modules[name] = Module(name, a, b, part.get("bias"), name in embeddings, scale)
    return modules, whole


def _scale(config: Any, module: str) -> tuple[int, float]:
    """A module's rank, and what its product is multiplied by."""
    from peft.utils.other import get_pattern_key

    rank_key = get_pattern_key((config.rank_pattern or {}).keys(), module)
    alpha_key = get_pattern_key((config.alpha_pattern or {}).keys(), module)
    rank = (config.rank_pattern or {}).get(rank_key, config.r)
    alpha = (config.alpha_pattern or {}).get(alpha_key, config.lora_alpha)
    return rank, alpha / (sqrt(rank) if config.use_rslora else rank)
