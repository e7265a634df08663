"""Output folders that are complete or absent, whatever interrupts the work."""

import errno
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rvec_merge.errors import DISK_FULL, OutputError, why
from rvec_merge.files.marks import MARKS
from rvec_merge.shown import size_text

# All that merges and extractions write, mergekit's and `rvec card` included. Other files are
# somebody's work.
_WRITTEN = re.compile(
    r"(model|vector|adapter_model|pytorch_model)(-\d{5}-of-\d{5})?\.(safetensors|bin)(\.index\.json)?"
    r"|((generation|adapter|tokenizer|processor|preprocessor)_)?config\.json"
    r"|(tokenizer|vocab|added_tokens|special_tokens_map|normalizer|chat_template)\.json"
    r"|(tokenizer|spiece|sentencepiece\.bpe)\.model|(merges|vocab)\.txt"
    r"|chat_template\.jinja|additional_chat_templates/[\w.-]+\.jinja"
    rf"|README\.md|{'|'.join(map(re.escape, MARKS))}"
    r"|rvec_scale\.png|\.eval_results/[\w.+-]+\.yaml"
)
_DISK_SAYS_NO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


@contextmanager
def new_folder(
    out: str | Path, inputs: Sequence[Path] = (), *, overwrite: bool = False
) -> Iterator[Path]:
    """A hidden folder to write into; becomes ``out`` if the body succeeds, else vanishes.

    It is locked and held open while it is written to: on Linux the path given leads to it
    whatever becomes of its own, elsewhere a replacement is noticed before it is published. A run
    that was killed leaves it behind, unlocked, and the next call for the same ``out`` removes it,
    and puts back an earlier output that was on its way out.

    Args:
        inputs: folders that ``out`` must not be, lie in, or contain.
        overwrite: replace an earlier output in one step; the old one stays until the new one is
            complete.

    Raises:
        OutputError: ``out`` cannot be used, or the disk fills while writing.
    """
    # Here: a stock run comes by this module for its checks, and Windows lacks what these need.
    from rvec_merge.files.work_folder import clear_leftovers, work_folder

    out = Path(os.path.abspath(out))
    with ExitStack() as stack:
        try:
            clear_leftovers(out)
            check_output(out, inputs, overwrite=overwrite)
            out.parent.mkdir(parents=True, exist_ok=True)
            work = stack.enter_context(work_folder(out))
        except OSError as error:
            raise _cannot_write(out, error) from None
        try:
            yield work.path
            work.sync()
            if overwrite:
                check_output(out, inputs, overwrite=True)  # what stands there now, hours later
            work.publish(overwrite)
        except OSError as error:
            if error.errno not in _DISK_SAYS_NO:
                raise  # not about the output
            raise _cannot_write(out, error) from None


def check_output(out: Path, inputs: Sequence[Path] = (), *, overwrite: bool = False) -> None:
    """Refuse an output path that exists, or that an input shares.

    Raises:
        OutputError: it does.
    """
    try:
        real = out.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links; RuntimeError before Python 3.13
        raise OutputError(
            "The output cannot be written.", [f"{out}", why(error)], "name another folder."
        ) from None
    for folder in inputs:
        known = folder.resolve()
        if real == known or known in real.parents:
            raise OutputError(
                "The output folder is one of the inputs.",
                [f"output: {out}", f"input:  {folder}"],
                "write to a new folder.",
            )
        if real in known.parents and (overwrite and real.exists()):
            raise OutputError(
                "An input lies inside the folder that would be overwritten.",
                [f"output: {out}", f"input:  {folder}"],
                "write to a new folder.",
            )
    if not (out.exists() or out.is_symlink()):
        return
    if not overwrite:
        raise OutputError(
            "The output exists.", [f"{out}"], "name a new folder, or replace it: --overwrite."
        )
    plain = out.is_dir() and not out.is_symlink() and not out.is_mount()
    if not plain or (any(out.iterdir()) and not any((out / name).exists() for name in MARKS)):
        raise OutputError(
            "What stands at the output path is no earlier output.",
            [f"{out}", f"a folder that may be overwritten holds one of {', '.join(MARKS)}"],
            "remove it yourself, or name a new folder.",
        )
    extra = sorted(
        name
        for path in out.rglob("*")
        if (path.is_symlink() or not path.is_dir())
        and not _WRITTEN.fullmatch(name := path.relative_to(out).as_posix())
    )
    if extra:
        more = [f"and {len(extra) - 8} more"] if len(extra) > 8 else []
        raise OutputError(
            f"The folder to be overwritten holds {len(extra)} files that no merge writes.",
            [f"{out}", *(ascii(name)[1:-1] for name in extra[:8]), *more],
            "move them away, or name a new folder.",
        )


def check_space(out: Path, needed: int) -> None:
    """Refuse an output that the disk has no room for.

    Raises:
        OutputError: ``needed`` bytes exceed what is free beside ``out``.
    """
    folder = Path(os.path.abspath(out)).parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            "The disk has no room for the output.",
            [f"needed: {size_text(needed)}", f"free:   {size_text(free)} in {folder}"],
            "make room, or write to another disk.",
        )


def _cannot_write(out: Path, error: OSError) -> OutputError:
    full = error.errno in DISK_FULL
    return OutputError(
        "The disk is full; nothing was left behind." if full else "The output cannot be written.",
        [f"{out}", why(error)],
        "make room, or write to another disk." if full else "name a folder you may write to.",
    )
