"""A model's card: ``README.md``, with metadata in YAML between ``---`` lines at its head."""

from pathlib import Path
from typing import Any

from rvec_merge.errors import RvecError
from rvec_merge.recipe.yaml import load_yaml

CARD = "README.md"
_LIMIT = 1 << 18  # characters in which the metadata are looked for


def front_matter(text: str) -> str:
    """The YAML at a card's head, found as the Hub's client finds it; empty where there is none."""
    head, _, rest = text.lstrip().partition("\n")
    front, end, _ = f"{rest}\n".lstrip("\n").partition("\n---\n")
    return front if head == "---" and end else ""


def read_metadata(folder: Path) -> dict[str, Any]:
    """What a folder's card states; nothing where there is no card, or none that can be read."""
    try:
        with (folder / CARD).open(encoding="utf-8", errors="replace") as file:
            found = load_yaml(front_matter(file.read(_LIMIT)), source=CARD)
    except (OSError, RvecError):
        return {}
    return found if isinstance(found, dict) else {}
