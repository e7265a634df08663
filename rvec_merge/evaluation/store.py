"""Results on disk: one folder per finished cell, written whole or not at all."""

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import ResultsError

FORMAT = 1
HEAD = "experiment.json"


@dataclass(frozen=True)
class CellResult:
    """A finished cell.

    Attributes:
        key: hash of everything that its outcome depends on.
        condition: how tables call it.
        variant: the lm-eval task or group that was run.
        facts: mean output length and the like; see ``outputs.describe``.
        folder: where lm-eval's own results and samples lie.
    """

    key: str
    condition: str
    variant: str
    facts: Mapping[str, Any]
    folder: Path

    def samples(self) -> Iterator[dict[str, Any]]:
        """Every sample row that lm-eval logged, each with its subtask's name under ``task``."""
        for path in sorted(self.folder.glob("samples_*.jsonl.gz")):
            # lm-eval's name: samples_<task>_<date>.jsonl; a date holds no underscore.
            task = path.name.removeprefix("samples_").rpartition("_")[0]
            with gzip.open(path, "rt", encoding="utf-8") as file:
                for line in file:
                    yield {**json.loads(line), "task": task}


class Store:
    """A results folder.

    Raises:
        ResultsError: the folder holds something else, or results of another format.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = root / "cells"

    def open(self, head: Mapping[str, Any]) -> None:
        """Begin or resume; ``head`` says what the experiment is."""
        path = self.root / HEAD
        if path.is_file():
            self.head()
        elif self.root.exists() and any(self.root.iterdir()):
            raise ResultsError(
                "The results folder holds something else.",
                [f"{self.root}", f"no {HEAD} in it"],
                "name a new or empty folder.",
            )
        self.cells.mkdir(parents=True, exist_ok=True)
        for leftover in self.cells.glob(".writing-*"):
            shutil.rmtree(leftover)  # of a run that was killed while it wrote
        self.write(HEAD, json.dumps({"format": FORMAT, **head}, indent=2, sort_keys=True) + "\n")

    def head(self) -> dict[str, Any]:
        """What the experiment is, as ``open`` wrote it."""
        path = self.root / HEAD
        try:
            head = json.loads(path.read_text(encoding="utf-8"))
            found = head["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                "This is no results folder.",
                [f"{self.root}", f"{error}"],
                "name the folder that `rvec experiment -o` wrote.",
            ) from None
        if found != FORMAT:
            raise ResultsError(
                "The results are of another version.",
                [f"{path}: format {found}; this version reads {FORMAT}"],
                "run the experiment into a new folder, or use the version that wrote it.",
            )
        return dict(head)

    def find(self, key: str) -> CellResult | None:
        """The finished cell with this key, if there is one."""
        folder = self.cells / key
        path = folder / "cell.json"
        if not path.is_file():
            return None
        cell = json.loads(path.read_text(encoding="utf-8"))
        return CellResult(key, cell["condition"], cell["variant"], cell["facts"], folder)

    def add(
        self, key: str, condition: str, variant: str, facts: Mapping[str, Any], files: Path
    ) -> CellResult:
        """File a finished cell; ``files`` holds what lm-eval wrote, and is emptied.

        A cell is visible once its folder has been renamed into place, and is then complete.
        """
        writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.cells))
        for path in sorted(p for p in files.rglob("*") if p.is_file()):
            if path.suffix == ".jsonl":
                with (
                    path.open("rb") as plain,
                    (writing / f"{path.name}.gz").open("wb") as raw,
                    # No name and no time in the header: the same samples are the same bytes.
                    gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as packed,
                ):
                    shutil.copyfileobj(plain, packed)
            else:
                shutil.copy(path, writing / path.name)
        cell = {"condition": condition, "variant": variant, "key": key, "facts": facts}
        (writing / "cell.json").write_text(json.dumps(cell, indent=2, sort_keys=True) + "\n")
        for path in writing.iterdir():
            _sync(path)
        os.replace(writing, self.cells / key)
        _sync(self.cells)
        return CellResult(key, condition, variant, facts, self.cells / key)

    def write(self, name: str, text: str) -> Path:
        """Replace one file of the results folder, atomically."""
        path = self.root / name
        part = path.with_name(f".{name}.part")
        part.write_text(text, encoding="utf-8")
        _sync(part)
        os.replace(part, path)
        return path


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
