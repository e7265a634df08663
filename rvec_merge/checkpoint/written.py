"""What was written, read again by the readers users have, before it is published."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.arithmetic.dtypes import DType
from rvec_merge.checkpoint.tensor import CODES
from rvec_merge.checkpoint.weight_files import INDEX
from rvec_merge.errors import OutputError, shortened


@dataclass(frozen=True)
class Wanted:
    """A tensor that was to be written; None where it is the writer's business."""

    shape: tuple[int, ...] | None = None
    dtype: DType | None = None


def check_written(folder: Path, wanted: Mapping[str, Wanted], *, indexed: bool = True) -> None:
    """Open the safetensors files under ``folder`` with their own library, and compare with a plan.

    Each name is there once, in its shape and dtype, and nothing else; an index names each tensor's
    file. The library refuses headers that leave a byte of a file unaccounted for. No weight is
    read: the files are mapped.

    Args:
        indexed: what is written is a checkpoint, and several files have an index.

    Raises:
        OutputError: anything is not as wanted.
    """
    problems = shortened(list(_problems(folder, wanted, indexed)))
    if problems:
        raise OutputError(
            "What was written is not what was planned, and is not published.",
            problems,
            "report this to rvec-merge, with the recipe; nothing was left behind.",
        )


def _problems(folder: Path, wanted: Mapping[str, Wanted], indexed: bool) -> Iterator[str]:
    from safetensors import SafetensorError, safe_open

    files: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, "np") as file:
                for name in file.keys():  # noqa: SIM118  (the file is no mapping)
                    if name in files:
                        yield f"{name}: in {files[name]} and in {path.name}"
                    files[name] = path.name
                    stored = file.get_slice(name)
                    yield from _difference(
                        name, tuple(stored.get_shape()), stored.get_dtype(), wanted.get(name)
                    )
        except SafetensorError as error:
            yield f"{path.name}: {error}"
    for name in wanted:
        if name not in files:
            yield f"{name}: not written"
    if indexed:
        yield from _index_problems(folder / INDEX, files)


def _difference(
    name: str, shape: tuple[int, ...], code: str, wanted: Wanted | None
) -> Iterator[str]:
    if wanted is None:
        yield f"{name}: not planned"
        return
    if wanted.shape not in (None, shape):
        yield f"{name}: {shape} instead of {wanted.shape}"
    if wanted.dtype is not None and CODES[wanted.dtype] != code:
        yield f"{name}: {code} instead of {CODES[wanted.dtype]}"


def _index_problems(index: Path, files: Mapping[str, str]) -> Iterator[str]:
    """What the index says that the files do not; an index is needed where there are several."""
    if not index.is_file():
        if len(set(files.values())) > 1:
            yield f"{index.name}: there are {len(set(files.values()))} files, and no index"
        return
    stated = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    for name in sorted(stated.keys() | files.keys()):
        if stated.get(name) != files.get(name):
            yield f"{index.name}: {name} in {stated.get(name)}; it is in {files.get(name)}"
