"""Two adapters on one base as one, of their ranks together: ``[B₂, −B₁] · [A₂; A₁]``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rvec_merge.arithmetic.dtypes import Array
from rvec_merge.checkpoint.adapted import Adapted, on_base
from rvec_merge.checkpoint.adapter import Adapter, Module
from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.tensor import read_whole
from rvec_merge.checkpoint.weights import Weights
from rvec_merge.checkpoint.written import Wanted, check_written
from rvec_merge.errors import RecipeError, shortened
from rvec_merge.files.atomic import new_folder
from rvec_merge.vector.inputs import DonorPair
from rvec_merge.vector.lora_report import LoraReport, measured
from rvec_merge.vector.provenance import record_extraction

_FILE = "adapter_model.safetensors"
_MOST = 1e-6  # relative: a scale that was folded in is rounded once


def extract(
    pair: DonorPair, out: Path, *, hash_files: bool = False, overwrite: bool = False
) -> LoraReport:
    """Write the adapter of ``grpo − sft`` to the new folder ``out``; nothing is lost.

    One of the donors may be the base itself. Where the two scale their products differently, one
    of them is scaled by the ratio, and rounded once.

    Dtypes: float32; float64 where a factor is.

    Raises:
        RecipeError: the donors are not adapters on one base, or add more than products.
        OutputError: ``out`` exists or cannot be written.
    """
    base, parts = _parts(pair)
    tensors: dict[str, Array] = {}
    ranks: dict[str, int] = {}
    scales: dict[str, float] = {}
    for found in parts.values():
        name, scale = found[0][0].name, found[0][0].scale
        a, b = _stack(found, scale)
        tensors[f"base_model.model.{name}.lora_A.weight"] = a
        tensors[f"base_model.model.{name}.lora_B.weight"] = b
        ranks[name], scales[name] = a.shape[0], scale
    with new_folder(out, pair.roots, overwrite=overwrite) as folder:
        from safetensors.numpy import save_file

        save_file(tensors, folder / _FILE, metadata={"format": "pt"})
        check_written(folder, {n: Wanted(v.shape, v.dtype) for n, v in tensors.items()})
        _write_config(pair, base, ranks, scales, folder)
        made = DonorPair("adapter", "base", on_base(base, Adapter.open(folder)), base)
        report = measured(max(ranks.values()), pair, lambda name: made.delta(name).plus)
        if report.residual > _MOST:
            raise RecipeError(
                "The two adapters as one are not what they are apart.",
                [f"relative residual {report.residual:.2g}"],
                "keep the vector as it is: --format compact.",
            )
        record_extraction(folder, "lora", pair.donors(hash_files=hash_files), report.facts)
    return report


def _parts(pair: DonorPair) -> tuple[Weights, dict[str, list[tuple[Module, int]]]]:
    """The base that both are on, and what each adds to a tensor of it, with its sign."""
    bases = [w.base if isinstance(w, Adapted) else w for w in (pair.grpo, pair.sft)]
    one = len({base.root.resolve() for base in bases}) == 1
    if not one or not all(isinstance(base, Checkpoint) for base in bases):
        raise RecipeError(
            "The donors are not adapters on one base, so that an adapter loses some of the vector.",
            [f"grpo: {pair.grpo_name}", f"sft:  {pair.sft_name}"],
            "say how much is to be kept: --rank R; or keep all of it: --format compact.",
        )
    parts: dict[str, list[tuple[Module, int]]] = {}
    more: list[str] = []
    for weights, sign in ((pair.grpo, 1), (pair.sft, -1)):
        if not isinstance(weights, Adapted):
            continue
        more += [f"{name}: stored whole" for name in weights.whole]
        for name, update in weights.updates.items():
            if update.bias or update.module.embedding:
                more.append(f"{name}: {'a bias' if update.bias else 'an embedding'}")
            parts.setdefault(name, []).append((update.module, sign))
    if more:
        raise RecipeError(
            "The donors' adapters add more than products to the layers.",
            shortened(more),
            "keep all of it in a vector file: --format compact.",
        )
    if not parts:
        raise RecipeError(
            "The donors' adapters change no layer.",
            [f"grpo: {pair.grpo_name}", f"sft:  {pair.sft_name}"],
            "name adapters that were trained.",
        )
    return bases[0], parts


def _stack(parts: Sequence[tuple[Module, int]], scale: float) -> tuple[Array, Array]:
    """The factors (rank, in) and (out, rank) of a sum of products, all times ``scale``."""
    left = [read_whole(module.b) * (sign * module.scale / scale) for module, sign in parts]
    right = [read_whole(module.a) for module, _ in parts]
    a, b = np.concatenate(right), np.concatenate(left, axis=1)
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


def _write_config(
    pair: DonorPair,
    base: Weights,
    ranks: Mapping[str, int],
    scales: Mapping[str, float],
    folder: Path,
) -> None:
    import peft

    adapters = [w.adapter for w in (pair.sft, pair.grpo) if isinstance(w, Adapted)]
    rank = max(ranks.values())
    first = next(iter(scales.values()))
    settings: dict[str, Any] = {
        "r": rank,
        "lora_alpha": first * rank,
        "target_modules": sorted(ranks),
        "rank_pattern": {name: r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {
            name: scales[name] * r
            for name, r in ranks.items()
            if (r, scales[name]) != (rank, first)
        },
        "base_model_name_or_path": adapters[0].base or f"{base.root}",
        "fan_in_fan_out": adapters[0].transposed,
        "inference_mode": True,
    }
    named = str(base.config.get("architectures"))
    if "ForCausalLM" in named or "LMHead" in named:
        settings["task_type"] = "CAUSAL_LM"
    peft.LoraConfig(**settings).save_pretrained(str(folder))
