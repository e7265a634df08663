"""The streaming merge: preflight, mergekit's plan, our execution, atomic output."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.arithmetic.loop import CPU
from rvec_merge.checkpoint.layout import lay_out, write_index
from rvec_merge.checkpoint.written import check_written
from rvec_merge.errors import Notice, Problems
from rvec_merge.files.atomic import new_folder
from rvec_merge.hub.models import folder_of, open_inputs
from rvec_merge.merge.beside_weights import mend, write_card, write_other_files
from rvec_merge.merge.delegate import run_mergekit, wanted
from rvec_merge.merge.execute import execute
from rvec_merge.merge.prepare import Prepared, prepare
from rvec_merge.merge.provenance import record, write_provenance
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.inputs import Input, is_path
from rvec_merge.plan.merge_plan import MergePlan
from rvec_merge.preflight import PreflightReport
from rvec_merge.recipe.read import Recipe

LOG = logging.getLogger(__name__)


class BytesWatch(Protocol):
    """Is told how a merge goes on."""

    def begin(self, nbytes: int, /) -> None:
        """So many bytes will be read and written."""

    def advance(self, nbytes: int) -> None:
        """So many more bytes have been; called from any thread."""


class Watcher:
    """Is told how a merge goes on; does nothing unless overridden."""

    def begin(self, nbytes: int) -> None:
        """So many bytes will be read and written."""

    def advance(self, nbytes: int) -> None:
        """So many more bytes have been; called from any thread."""


@dataclass(frozen=True)
class Outcome:
    """What a merge did.

    Attributes:
        out: the folder.
        executor: None if it was streamed, else why mergekit's executor was used.
        tensors, nbytes: what was written.
        nbytes_read: what was read, of weights; 0 where mergekit read them.
        planning: seconds from the call to the first weight read.
        seconds: from there to the end.
        effect: what the merge did to the target; None where it was not measured.
        warnings: what the preflight found suspicious.
    """

    out: Path
    executor: str | None
    tensors: int
    nbytes: int
    nbytes_read: int
    planning: float
    seconds: float
    effect: Effect | None
    warnings: tuple[Notice, ...]

    @property
    def rate(self) -> float:
        """Bytes read and written per second."""
        return (self.nbytes + self.nbytes_read) / self.seconds


def merge(
    recipe: Recipe,
    out: str | Path,
    settings: Settings | None = None,
    watcher: BytesWatch | None = None,
) -> Outcome:
    """Merge a recipe into the new folder ``out``, with the bits of ``mergekit-yaml``.

    Memory: some blocks per thread (0.2 GB with everything imported), whatever the models' size;
        a ``density`` below 1 takes about eight float32 copies of the largest tensor per thread.

    Raises:
        RvecError: the preflight refuses it, an input is not finite, or the disk fills. Nothing
            is left at ``out``.
    """
    start = time.perf_counter()
    out = Path(out)
    settings, watcher = settings or Settings(), watcher or Watcher()
    problems = Problems()
    device = CPU
    with problems.noted():
        device = settings.device_here
    for reference in recipe.config.referenced_models():
        if reference.lora is None and not is_path(reference.model.path):
            with problems.noted():
                folder_of(reference)
    prepared = prepare(recipe, out, settings)
    problems.errors += prepared.report.errors
    problems.raise_all()
    return _written(recipe, out, settings, device, watcher, prepared, start)


def _written(
    recipe: Recipe,
    out: Path,
    settings: Settings,
    device: str,
    watcher: BytesWatch,
    prepared: Prepared,
    start: float,
) -> Outcome:
    plan = prepared.plan
    if plan is None:
        LOG.info("Left to mergekit's executor: %s.", prepared.reason)
    found = plan.inputs if plan else open_inputs(recipe, allow_pickle=settings.allow_pickle)
    inputs = list(found.values())
    with new_folder(out, [i.folder for i in inputs], overwrite=settings.overwrite) as folder:
        planned = time.perf_counter()
        effect = None
        if plan is not None:
            effect = _stream(recipe, plan, settings, device, watcher, folder)
            tensors, nbytes = len(plan.tensors), plan.nbytes
        else:
            tensors, nbytes = _delegate(recipe, settings, prepared.report, inputs, folder)
        write_card(recipe, out.name, effect, folder)
        provenance = record(
            recipe,
            inputs,
            settings,
            executor="mergekit" if plan is None else "stream",
            tensors=tensors,
            nbytes=nbytes,
            effect=effect,
        )
        write_provenance(provenance, folder)
    return Outcome(
        out=out,
        executor=prepared.reason,
        tensors=tensors,
        nbytes=nbytes,
        nbytes_read=0 if plan is None else plan.nbytes_read,
        planning=planned - start,
        seconds=time.perf_counter() - planned,
        effect=effect,
        warnings=prepared.report.warnings,
    )


def _stream(
    recipe: Recipe,
    plan: MergePlan,
    settings: Settings,
    device: str,
    watcher: BytesWatch,
    folder: Path,
) -> Effect | None:
    shards = lay_out(plan.tensors, settings.shard_size)
    watcher.begin(plan.nbytes + plan.nbytes_read)
    write_other_files(recipe, plan, settings, folder)
    workers, progress = settings.workers, watcher.advance
    effect = execute(plan, shards, folder, device=device, workers=workers, progress=progress)
    if len(shards) > 1:
        files = {name: shard.name for shard in shards for name in shard.offsets}
        write_index(folder, files, plan.nbytes)
    check_written(folder, plan.wanted)
    return effect


def _delegate(
    recipe: Recipe,
    settings: Settings,
    report: PreflightReport,
    inputs: Sequence[Input],
    folder: Path,
) -> tuple[int, int]:
    """How many tensors were written, and bytes of them."""
    written = run_mergekit(recipe, settings, folder)
    check_written(folder, wanted(recipe, report, written))
    for found in inputs if settings.copy_tokenizer else ():
        if found.reference == recipe.config.base_model:
            mend(found.folder, folder)
    return len(written.tensors), sum(info.nbytes for info in written.tensors.values())
