"""Write a vector as a PEFT adapter, through mergekit's own extraction, and say what is lost."""

import json
import re
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from rvec_merge.arithmetic.dtypes import FLOAT32
from rvec_merge.arithmetic.kernel import Source
from rvec_merge.arithmetic.updates import Factors, LowRank, Zeros
from rvec_merge.checkpoint.header import TensorInfo, read_header
from rvec_merge.checkpoint.tensor import read_whole
from rvec_merge.checkpoint.written import Wanted, check_written
from rvec_merge.errors import CheckpointError, RecipeError, said_by
from rvec_merge.files.atomic import new_folder
from rvec_merge.vector import stacked
from rvec_merge.vector.inputs import DonorPair, Vector
from rvec_merge.vector.lora_report import LoraReport, measured
from rvec_merge.vector.output import write_text
from rvec_merge.vector.provenance import record_extraction

_ADAPTER = "adapter_model.safetensors"


def extract_lora(
    vector: Vector,
    out: Path,
    *,
    rank: int | None = None,
    hash_files: bool = False,
    overwrite: bool = False,
) -> LoraReport:
    """Write an adapter of ``grpo − sft`` to the new folder ``out``.

    Without a rank, donors that are adapters on one base become one adapter, which loses nothing:
    see ``stacked``. With one, the vector is approximated:

    Adapts the linear modules of the layers. Embeddings, norms and biases are left out: mergekit
    would save the grpo donor's own, which on another target replaces weights instead of moving
    them. What that loses is part of the residual.

    Memory: mergekit's extraction holds one module's delta and its decomposition in float32.

    Raises:
        RecipeError: the vector's donors are not at hand.
        OutputError: ``out`` exists or cannot be written.
    """
    if not isinstance(vector, DonorPair):
        raise RecipeError(
            "An adapter is extracted from the donors themselves.",
            [f"{vector.label} holds only their difference"],
            "name both donors: --grpo A --sft B.",
        )
    if rank is None:
        return stacked.extract(vector, out, hash_files=hash_files, overwrite=overwrite)
    modules = [n.removesuffix(".weight") for n in vector.shapes if _is_linear(n, vector)]
    with new_folder(out, vector.roots, overwrite=overwrite) as folder:
        ranks = _run_mergekit(vector, folder, modules, rank)
        check_written(folder, _wanted(vector, ranks))
        config = _adapter_config(vector.sft_name, ranks)
        write_text(folder / "adapter_config.json", json.dumps(config, indent=2) + "\n")
        adapter = read_header(folder / _ADAPTER)[0]
        report = measured(rank, vector, lambda n: _approximation(n, vector.shapes[n], adapter))
        record_extraction(folder, "lora", vector.donors(hash_files=hash_files), report.facts)
    return report


def _is_linear(name: str, vector: Vector) -> bool:
    shape = vector.shapes[name]
    rows = vector.config.get("vocab_size")
    return name.endswith(".weight") and len(shape) == 2 and shape[0] != rows


def _run_mergekit(pair: DonorPair, folder: Path, modules: list[str], rank: int) -> dict[str, int]:
    """Write the adapter's tensors; returns each module's rank."""
    from mergekit.common import ModelReference
    from mergekit.graph import Executor
    from mergekit.io.tasks import FinalizeModel
    from mergekit.options import MergeOptions
    from mergekit.scripts import extract_lora as mergekit

    grpo, sft = (ModelReference.model_validate({"model": {"path": str(r)}}) for r in pair.roots)
    wanted = "|".join(map(re.escape, modules))
    try:
        with redirect_stderr(StringIO()):  # its planning bar ignores `quiet`
            plan = mergekit.plan_extraction(
                base_model_ref=sft,
                model_ref=grpo,
                modules_to_save=[],
                out_path=str(folder),
                options=MergeOptions(quiet=True),
                max_rank=rank,
                exclude_regexes=[f"^(?!(?:{wanted})$)"],
            )
    except (RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(
            "mergekit cannot plan the extraction.",
            [f"{pair.grpo.root}", *said_by(error)],
            "use donors of an architecture that mergekit knows, each with its config.json.",
        ) from None
    saves = [task for task in plan.tasks if isinstance(task, mergekit.LoRAModuleSaveTask)]
    end = FinalizeModel(tensor_save_tasks=tuple(saves), writer_task=saves[0].writer_task)
    decompositions = [save.decomposition_task for save in saves]
    return {
        task.weight_info.name.removesuffix(".weight"): result[0].shape[0]
        for task, result in Executor([*decompositions, *saves, end]).run(quiet=True)
        if isinstance(task, mergekit.TaskVectorDecompositionTask)
    }


def _wanted(pair: DonorPair, ranks: Mapping[str, int]) -> dict[str, Wanted]:
    wanted = {}
    for module, rank in ranks.items():
        rows, columns = pair.shapes[f"{module}.weight"]
        for side, shape in (("A", (rank, columns)), ("B", (rows, rank))):
            wanted[f"base_model.model.{module}.lora_{side}.weight"] = Wanted(shape)
    return wanted


def _adapter_config(base: str, ranks: Mapping[str, int]) -> dict[str, Any]:
    from mergekit.common import ModelReference
    from mergekit.scripts.extract_lora import make_config_dict

    config: dict[str, Any] = make_config_dict(
        base_ref=ModelReference.model_validate({"model": {"path": base}}),
        max_rank=max(ranks.values()),
        modules_to_save=[],
        target_modules=sorted({name.rsplit(".", 1)[-1] for name in ranks}),
        module_ranks=dict(ranks),
    )
    return config


def _approximation(name: str, shape: tuple[int, ...], adapter: Mapping[str, TensorInfo]) -> Source:
    """``B · A`` of one tensor; zero where the adapter has none."""
    module = f"base_model.model.{name.removesuffix('.weight')}"
    factors = [adapter.get(f"{module}.lora_{side}.weight") for side in "AB"]
    a, b = factors
    if a is None or b is None:
        return Zeros(shape)
    return LowRank(lambda: Factors(read_whole(b), read_whole(a), 1.0), shape, FLOAT32)
