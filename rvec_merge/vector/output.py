"""What lies beside a vector's tensors, and who is told how far they are."""

import shutil
from collections.abc import Callable
from pathlib import Path

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


Progress = Callable[[int], None]  # is told of elements as they are done


def silent(elements: int) -> None:
    """The progress nobody watches."""


def write_text(path: Path, text: str) -> None:
    """Write a small file."""
    path.write_text(text, encoding="utf-8")


def copy_other_files(source: Path, folder: Path) -> None:
    """Copy the config and tokenizer files that ``source`` has."""
    for name in _COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
