"""Results on disk: one folder per finished cell, written whole or not at all."""

import contextlib
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import DISK_FULL, EnvironmentProblem, ResultsError, why
from rvec_merge.experiment.shapes import Filed, Head
from rvec_merge.files.hashes import file_sha256
from rvec_merge.files.marks import EXPERIMENT_FILE
from rvec_merge.files.names import write_below
from rvec_merge.files.reading import (
    Budget,
    DamagedResults,
    damaged,
    read_as,
    read_rows,
)

FORMAT = 2
_LOCK = ".lock"
_CELL = "cell.json"
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
        """Every sample row that lm-eval logged, each with its subtask's name under ``task``.

        Raises:
            ResultsError: a file is damaged.
        """
        budget = Budget()
        for path in sorted(self.folder.glob("samples_*.jsonl.gz")):
            # lm-eval's name: samples_<task>_<date>.jsonl; a date holds no underscore.
            task = path.name.removeprefix("samples_").rpartition("_")[0]
            for row in read_rows(path, budget):
                yield {**row, "task": task}


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
        if (self.root / EXPERIMENT_FILE).is_file():
            with contextlib.suppress(DamagedResults):
                return self.head()
            if self.cells.is_dir():
                return None  # the head is written anew; cells are found by their keys
        if self.root.is_dir() and all(p.name == _LOCK for p in self.root.iterdir()):
            return None
        if self.root.exists():
            raise ResultsError(
                "The results folder holds something else.",
                [f"{self.root}", f"no readable {EXPERIMENT_FILE} in it"],
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
                [f"{self.root}", why(error)],
                "name a folder you may write to.",
            ) from None
        with _held(self.root / _LOCK, self.root):
            for leftover in self.cells.glob(".writing-*"):
                shutil.rmtree(leftover)  # of a run that was killed while it wrote
            if self.failures.exists():
                shutil.rmtree(self.failures)  # these cells are tried again
            text = json.dumps({"format": FORMAT, **head}, indent=2, sort_keys=True) + "\n"
            path = self.root / EXPERIMENT_FILE
            if path.is_file() and path.read_bytes() != text.encode():
                self.forget_findings()  # they are another plan's
            try:
                self.write(EXPERIMENT_FILE, text)
                yield
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                raise ResultsError(
                    "The disk is full.",
                    [f"{error.filename or self.root}", "finished cells are kept"],
                    "make room, and run the same command again.",
                ) from error

    def head(self) -> dict[str, Any]:
        """What the experiment is, as ``writing`` wrote it.

        Raises:
            ResultsError: the folder holds no results, damaged ones, or those of another version.
        """
        path = self.root / EXPERIMENT_FILE
        if not path.is_file():
            raise ResultsError(
                "This is no results folder.",
                [f"{self.root}", f"no {EXPERIMENT_FILE} in it"],
                "name the folder that `rvec experiment -o` wrote.",
            )
        head = read_as(path, dict[str, Any])
        if head.get("format") != FORMAT:
            raise ResultsError(
                "The results are of another version.",
                [f"{path}: format {head.get('format')}; this version reads {FORMAT}"],
                "run the experiment into a new folder, or use the version that wrote it.",
            )
        return read_as(path, Head).model_dump()

    @property
    def is_finished(self) -> bool:
        """Whether a summary was made of the cells, and none has been run since."""
        return (self.root / _FINDINGS[0]).is_file()

    def cell(self, key: str) -> CellResult:
        """A finished cell.

        Raises:
            ResultsError: it is gone, or not as it was filed.
        """
        cell, files = self._read(key)
        for name, sha256 in files.items():
            if not _is_as_filed(cell.folder / name, sha256):
                raise damaged(cell.folder / name, f"it is not the file that {_CELL} names")
        return cell

    def find(self, key: str) -> CellResult | None:
        """The finished cell with this key; None where there is none, or not as it was filed."""
        with contextlib.suppress(ResultsError):
            return self.cell(key)
        return None

    def _read(self, key: str) -> tuple[CellResult, Mapping[str, str]]:
        folder = self.cells / key
        if not folder.is_dir():
            raise ResultsError(
                "A cell of the results is gone.",
                [f"{folder}"],
                "run `rvec experiment` into this folder again; other cells are kept.",
            )
        filed = read_as(folder / _CELL, Filed)
        if filed.key != key:
            raise damaged(folder / _CELL, f"it is of the cell {filed.key}")
        facts = filed.facts.model_dump()
        return CellResult(key, filed.condition, filed.variant, facts, folder), filed.files

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
        cell = {
            "condition": condition,
            "variant": variant,
            "key": key,
            "facts": facts,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
        text = json.dumps(cell, indent=2, sort_keys=True) + "\n"
        folder, writing = self.cells / key, self.cells / f".writing-{key}"
        writing.mkdir()
        try:
            for name, content in {**files, _CELL: text.encode()}.items():
                write_below(writing, name, content)
            if folder.exists():
                shutil.rmtree(folder)  # not as it was filed, or it would not have run again
            os.replace(writing, folder)
        finally:
            shutil.rmtree(writing, ignore_errors=True)
        _sync(self.cells)
        return CellResult(key, condition, variant, facts, folder)

    def add_failure(self, key: str, text: str) -> Path:
        """File why a cell failed; gone when the next run begins."""
        return self.write(f"{self.failures.name}/{key}.txt", text)

    def forget_findings(self) -> None:
        """Remove the summary: the cells it was made from are no longer all of them."""
        for name in _FINDINGS:
            (self.root / name).unlink(missing_ok=True)

    def write(self, name: str, text: str) -> Path:
        """Replace one file of the results folder, atomically."""
        return write_below(self.root, name, text)


@contextlib.contextmanager
def _held(path: Path, folder: Path) -> Iterator[None]:
    """Hold a lock that falls with this process, however it ends."""
    try:
        import fcntl
    except ImportError:
        raise EnvironmentProblem(
            "Experiments need Linux or macOS.", ["no file locks of Unix here"], "run it there."
        ) from None
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResultsError(
                "Another run is writing into the results folder.",
                [f"{folder}"],
                "wait for it, or name another folder.",
            ) from None
        yield


def _is_as_filed(path: Path, sha256: str) -> bool:
    return path.is_file() and file_sha256(path) == sha256


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
