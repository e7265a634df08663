"""Results on disk: one folder per finished cell, written whole or not at all."""

import contextlib
import fcntl
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
_LOCK = ".lock"
_FINDINGS = ("summary.json", "summary.md", "cells.csv", "flips.json")


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
        ResultsError: the folder holds something else, results of another format, or another run
            is writing into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells = root / "cells"
        self.failures = root / "failed"

    def found(self) -> dict[str, Any] | None:
        """What the experiment in the folder is; None for a new or empty folder."""
        if (self.root / HEAD).is_file():
            return self.head()
        if self.root.is_dir() and all(p.name == _LOCK for p in self.root.iterdir()):
            return None
        if self.root.exists():
            raise ResultsError(
                "The results folder holds something else.",
                [f"{self.root}", f"no {HEAD} in it"],
                "name a new or empty folder.",
            )
        return None

    @contextlib.contextmanager
    def writing(self, head: Mapping[str, Any]) -> Iterator[None]:
        """Begin or resume, as the folder's only writer; ``head`` says what the experiment is."""
        self.found()
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResultsError(
                "The results folder cannot be made.",
                [f"{self.root}", f"{error}"],
                "name a folder you may write to.",
            ) from None
        with (self.root / _LOCK).open("w") as lock:
            try:
                # Falls with the process that holds it, however that ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ResultsError(
                    "Another run is writing into the results folder.",
                    [f"{self.root}"],
                    "wait for it, or name another folder.",
                ) from None
            for leftover in self.cells.glob(".writing-*"):
                shutil.rmtree(leftover)  # of a run that was killed while it wrote
            if self.failures.exists():
                shutil.rmtree(self.failures)  # these cells are tried again
            text = json.dumps({"format": FORMAT, **head}, indent=2, sort_keys=True) + "\n"
            path = self.root / HEAD
            if path.is_file() and path.read_text(encoding="utf-8") != text:
                self.forget_findings()  # they are another plan's
            self.write(HEAD, text)
            yield

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
        self,
        key: str,
        condition: str,
        variant: str,
        facts: Mapping[str, Any],
        files: Mapping[str, bytes],
    ) -> CellResult:
        """File a finished cell; ``files`` holds what lm-eval wrote, packed.

        A cell is visible once its folder has been renamed into place, and is then complete.
        """
        writing = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.cells))
        cell = {"condition": condition, "variant": variant, "key": key, "facts": facts}
        text = json.dumps(cell, indent=2, sort_keys=True) + "\n"
        for name, content in {**files, "cell.json": text.encode()}.items():
            (writing / name).write_bytes(content)
            _sync(writing / name)
        os.replace(writing, self.cells / key)
        _sync(self.cells)
        return CellResult(key, condition, variant, facts, self.cells / key)

    def add_failure(self, key: str, text: str) -> Path:
        """File why a cell failed; gone when the next run begins."""
        self.failures.mkdir(exist_ok=True)
        return self.write(f"{self.failures.name}/{key}.txt", text)

    def forget_findings(self) -> None:
        """Remove the summary: the cells it was made from are no longer all of them."""
        for name in _FINDINGS:
            (self.root / name).unlink(missing_ok=True)

    def write(self, name: str, text: str) -> Path:
        """Replace one file of the results folder, atomically."""
        path = self.root / name
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        _sync(part)
        os.replace(part, path)
        return path


def packed(folder: Path) -> dict[str, bytes]:
    """The files under ``folder`` by name, sample rows compressed: the form ``Store.add`` takes."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.suffix == ".jsonl":
            # No time in the header: the same samples are the same bytes.
            files[f"{path.name}.gz"] = gzip.compress(content, mtime=0)
        else:
            files[path.name] = content
    return files


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
