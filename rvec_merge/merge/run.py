"""The streaming merge: preflight, mergekit's plan, our execution, atomic output."""

import logging
import time
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
from rvec_merge.plan.inputs import is_path
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
    if prepared.plan is None:
        return _delegated(recipe, out, settings, prepared, start)
    return _streamed(recipe, out, settings, device, watcher, prepared.plan, prepared.report, start)


def _streamed(
    recipe: Recipe,
    out: Path,
    settings: Settings,
    device: str,
    watcher: BytesWatch,
    plan: MergePlan,
    report: PreflightReport,
    start: float,
) -> Outcome:
    shards = lay_out(plan.tensors, settings.shard_size)
    folders = [found.folder for found in plan.inputs.values()]
    with new_folder(out, folders, overwrite=settings.overwrite) as folder:
        planned = time.perf_counter()
        watcher.begin(plan.nbytes + plan.nbytes_read)
        write_other_files(recipe, plan, settings, folder)
        effect = execute(
            plan,
            shards,
            folder,
            device=device,
            workers=settings.workers,
            progress=watcher.advance,
        )
        if len(shards) > 1:
            files = {name: shard.name for shard in shards for name in shard.offsets}
            write_index(folder, files, plan.nbytes)
        check_written(folder, plan.wanted)
        write_card(recipe, out.name, effect, folder)
        provenance = record(
            recipe,
            list(plan.inputs.values()),
            settings,
            executor="stream",
            tensors=len(plan.tensors),
            nbytes=plan.nbytes,
            effect=effect,
        )
        write_provenance(provenance, folder)
    return Outcome(
        out=out,
        executor=None,
        tensors=len(plan.tensors),
        nbytes=plan.nbytes,
        nbytes_read=plan.nbytes_read,
        planning=planned - start,
        seconds=time.perf_counter() - planned,
        effect=effect,
        warnings=report.warnings,
    )


def _delegated(
    recipe: Recipe,
    out: Path,
    settings: Settings,
    prepared: Prepared,
    start: float,
) -> Outcome:
    LOG.info("Left to mergekit's executor: %s.", prepared.reason)
    inputs = list(open_inputs(recipe, allow_pickle=settings.allow_pickle).values())
    folders = [found.folder for found in inputs]
    with new_folder(out, folders, overwrite=settings.overwrite) as folder:
        planned = time.perf_counter()
        written = run_mergekit(recipe, settings, folder)
        check_written(folder, wanted(recipe, prepared.report, written))
        write_card(recipe, out.name, None, folder)
        nbytes = sum(info.nbytes for info in written.tensors.values())
        target = recipe.config.base_model
        if settings.copy_tokenizer:
            for found in inputs:
                if found.reference == target:
                    mend(found.folder, folder)
        provenance = record(
            recipe,
            inputs,
            settings,
            executor="mergekit",
            tensors=len(written.tensors),
            nbytes=nbytes,
            effect=None,
        )
        write_provenance(provenance, folder)
    return Outcome(
        out=out,
        executor=prepared.reason,
        tensors=len(written.tensors),
        nbytes=nbytes,
        nbytes_read=0,
        planning=planned - start,
        seconds=time.perf_counter() - planned,
        effect=None,
        warnings=prepared.report.warnings,
    )
