"""Names that files bring along: which are names, and where one may lead when it is written to."""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath, PureWindowsPath

from rvec_merge.errors import OutputError

# Of a task, its variants, a cell's subtasks: the first is no dot, and nothing leads anywhere.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.()+-]{0,127}"


def below(folder: Path, name: str) -> Path:
    """``folder / name``, for a name that another file gave.

    Raises:
        OutputError: it leads out of the folder, by itself or through a link of a folder.
    """
    parts = PurePosixPath(name).parts
    plain = parts and "\0" not in name and not PureWindowsPath(name).anchor
    path = folder / name
    if plain and ".." not in PureWindowsPath(name).parts and not PurePosixPath(name).anchor:
        root, real = folder.resolve(), path.parent.resolve()
        if real == root or root in real.parents:
            return path
    raise OutputError(
        "A name leads out of the folder that is written to.",
        [f"name:   {name}", f"folder: {folder}"],
        "do not use these files; tell whoever made them.",
    )


def write_below(folder: Path, name: str, content: str | bytes) -> Path:
    """Write one file below a folder that exists, whole or not at all; an old one is replaced.

    Nothing is written through a link: one that stands there is replaced itself.
    """
    path = below(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of a run that was killed, or a stranger's link
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return path
