"""Output folders that are complete or absent, and what lies beside a vector's tensors."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rvec_merge.errors import OutputError

# Not the weights: what says which architecture and vocabulary the vector is for.
_COMPANIONS = (
    "config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)


@contextmanager
def new_folder(out: Path, inputs: Sequence[Path]) -> Iterator[Path]:
    """A sibling folder to write into; becomes ``out`` if the body succeeds, else vanishes.

    Raises:
        OutputError: ``out`` exists, lies in an input, or its parent cannot be written to.
    """
    out = Path(os.path.abspath(out))
    if out.exists() or out.is_symlink():
        raise OutputError("The output exists.", [f"{out}"], "name a new folder.")
    for folder in inputs:
        if folder.resolve() in out.resolve().parents:
            facts = [f"output: {out}", f"input:  {folder}"]
            raise OutputError("The output lies in an input.", facts, "name another folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise OutputError(
            "The output cannot be created.", [f"{error}"], "name a folder you may write to."
        ) from None
    try:
        yield work
        work.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        _sync(work)
        work.rename(out)
        _sync(out.parent)
    except OSError as error:
        raise OutputError(
            "The output cannot be written.", [f"{out}", f"{error}"], "make room, or go elsewhere."
        ) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write and sync a small file."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def copy_companions(source: Path, folder: Path) -> None:
    """Copy the config and tokenizer files that ``source`` has."""
    for name in _COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
