"""A model's card: ``README.md``, with metadata in YAML between ``---`` lines at its head."""

import re
from pathlib import Path
from typing import Any

from rvec_merge.errors import RvecError
from rvec_merge.recipe.yaml import load_yaml

CARD = "README.md"
_LIMIT = 1 << 18  # characters in which the metadata are looked for
_FRONT = re.compile(r"\s*---\n([\S\s]*?)\n---[ \t]*(?:\n|$)")  # as the Hub's client finds them


def read_metadata(folder: Path) -> dict[str, Any]:
    """What a folder's card states; nothing where there is no card, or none that can be read."""
    try:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            front = _FRONT.match(file.read(_LIMIT))
        found = load_yaml(front[1], source=CARD) if front else None
    except (OSError, RvecError):
        return {}
    return found if isinstance(found, dict) else {}
