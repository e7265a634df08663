"""Write the perturbed set of a task as data files that others can evaluate."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import OutputError
from rvec_merge.files.atomic import new_folder
from rvec_merge.files.names import write_below
from rvec_merge.tasks.harness import foreign_task
from rvec_merge.tasks.local_data import SWITCH, digest
from rvec_merge.tasks.perturb.spec import GENERATOR_VERSION
from rvec_merge.tasks.variants import Variant, load_variant
from rvec_merge.version import __version__


@dataclass(frozen=True)
class Written:
    """Where a realised set went, and its metadata."""

    folder: Path
    metadata: dict[str, Any]


def write_realised(
    name: str, out: Path, *, seed: int | None = None, limit: int | None = None
) -> Written:
    """Write ``out/<data>/<split>.jsonl`` and ``out/perturbation.json`` for the task ``name``.

    The tested split is the perturbed one; splits for few-shots are copied clean, so that
    ``RVEC_EVAL_DATA=out`` evaluates the task on exactly this set, whatever the generator's
    version then is. ``limit`` bounds the perturbed items.

    Raises:
        TaskError: there is no such task, or it has no perturbation.
        OutputError: ``out`` exists.
    """
    if out.exists():
        raise OutputError(
            "The output exists.", [str(out)], "name a folder that does not exist yet."
        )
    task = load_variant(name, seed=seed)
    with foreign_task(name):
        metadata, files = _render(task, name, limit)
    with new_folder(out) as work:
        for path, text in files.items():
            write_below(work, path, text)
        write_below(work, "perturbation.json", json.dumps(metadata, indent=2) + "\n")
    return Written(out, metadata)


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _render(task: Variant, name: str, limit: int | None) -> tuple[dict[str, Any], dict[str, str]]:
    realised = task.realised()
    rows = list(realised.rows[:limit])
    config = task.config
    split = config.test_split or config.validation_split
    data = task.spec.data or name
    files = {f"{data}/{split}.jsonl": _lines(rows)}
    for other in (config.training_split, config.validation_split, config.fewshot_split):
        if other and other != split:
            files[f"{data}/{other}.jsonl"] = _lines(list(task.dataset[other]))
    assert task.spec.perturbation is not None
    metadata = {
        "task": name,
        "base": config.metadata["base"],
        "base_version": config.metadata["base_version"],
        "kind": task.spec.perturbation.kind,
        "seed": task.spec.perturbation.seed,
        "generator_version": GENERATOR_VERSION,
        "rvec_merge_version": __version__,
        "data": f"{data}/{split}.jsonl",
        "items_offered": realised.offered,
        "items_changed": len(realised.rows),
        "items_written": len(rows),
        "refused": dict(realised.refused),
        "sha256": digest(rows),
        "source_sha256": digest(list(task.dataset[split])),
        "evaluate": f"{SWITCH}=THIS_FOLDER lm_eval run --tasks {name} ...",
    }
    return metadata, files
