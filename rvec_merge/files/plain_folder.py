"""A stranger's folder holds files of its own, and nothing that leads out of it."""

import os
import re
from pathlib import Path

from rvec_merge.errors import CheckpointError

_TEMPLATES = "additional_chat_templates"  # the one subfolder that a tokenizer reads
_REPO = re.compile(r"(models|datasets|spaces)--.+")


def check_plain(root: Path) -> None:
    """Refuse links out of a folder, and what is neither file nor folder.

    What is read there is copied beside a merge, and shared with it. The Hub's cache links its
    snapshots' files to its blobs, which are taken for the snapshot's own. A hard link cannot be
    told from a file.

    Raises:
        CheckpointError: there are such things.
    """
    home = root.resolve()
    facts = []
    for folder in (home, home / _TEMPLATES):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            real = Path(os.path.realpath(path))
            if not (real.is_relative_to(home) or _is_blob(real, home)):
                facts.append(f"{path.relative_to(home)} leads to {real}")
            elif real.exists() and not (real.is_file() or real.is_dir()):
                facts.append(f"{path.relative_to(home)} is a device, a pipe or a socket")
    if facts:
        more = [f"and {len(facts) - 5} more"] if len(facts) > 5 else []
        raise CheckpointError(
            "A folder holds what is no file of its own.",
            [f"{root}", *facts[:5], *more],
            "put the files themselves in their place, if you know them (cp -rL), or remove them.",
        )


def _is_blob(real: Path, snapshot: Path) -> bool:
    """Whether a file is in the store that the Hub's cache has for a snapshot's repo, or for all."""
    repo = snapshot.parent.parent
    if snapshot.parent.name != "snapshots" or not _REPO.fullmatch(repo.name):
        return False
    return real.parent == repo / "blobs" or real.parent.parent == repo.parent / "blobs"
