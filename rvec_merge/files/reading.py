"""The one reader of results on disk: bounded in memory, and one error for whatever is damaged.

Files may come from strangers, be cut by a full disk or a broken copy, or unpack to gigabytes.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError

from rvec_merge.errors import ResultsError, why
from rvec_merge.files.explained import explained

# Bytes once unpacked. A row holds its prompt several times: 32 MiB are 64 outputs of 32k tokens.
LINE, OBJECT, FILE, TOTAL = 32 << 20, 32 << 20, 1 << 30, 4 << 30
ROWS = 1_000_000  # of all files that are read together
_FIX = (
    "fetch the files again, or run what wrote them again: `rvec experiment` keeps finished cells."
)
_DAMAGE = (ValueError, EOFError, zlib.error, OSError, RecursionError)

Read = TypeVar("Read")


class DamagedResults(ResultsError):
    """A file of results was cut, corrupted or edited, or never was one."""


def damaged(path: object, said: str) -> DamagedResults:
    """The error of a file of results that cannot be used as it is."""
    return DamagedResults("The results are damaged.", [f"{path}: {said}"], _FIX)


@dataclass
class Budget:
    """What may still be read of files that are held together."""

    left: int = TOTAL
    rows: int = ROWS

    def spend(self, count: int) -> None:
        self.left -= count
        self.rows -= 1
        if self.left < 0:
            raise ValueError(f"it and the files read with it unpack to more than {TOTAL:,} bytes")
        if self.rows < 0:
            raise ValueError(f"it and the files read with it hold more than {ROWS:,} rows")


def read_rows(path: Path, budget: Budget | None = None) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-lines file, plain or ``.gz``, one at a time.

    Memory: one row.

    Raises:
        ResultsError: the file is cut, corrupt or no JSON lines, or is beyond a bound.
    """
    number, size, budget = 0, 0, budget or Budget()
    try:
        with _open(path) as file:
            # Lines end at \n alone: lm-eval leaves U+2028 and its like in the text.
            while line := file.readline(LINE + 1):
                number += 1
                size += len(line)
                _bound("the row", len(line), LINE)
                _bound("the file", size, FILE)
                budget.spend(len(line))
                yield _object(line)
    except _DAMAGE as error:
        raise damaged(path, f"row {number}: {why(error)}") from None


def read_as(path: Path, kind: type[Read]) -> Read:
    """The JSON in a file as ``kind``: a data class, a pydantic model, a typed dictionary.

    Raises:
        ResultsError: it cannot be read, is something else, or is beyond the bound.
    """
    try:
        found: Read = TypeAdapter(kind).validate_json(_content(path))
    except ValidationError as error:
        raise damaged(path, "; ".join(explained(error))) from None
    except _DAMAGE as error:
        raise damaged(path, why(error)) from None
    return found


_Text = Annotated[
    str | None, BeforeValidator(lambda value: value if isinstance(value, str) else None)
]


class TaskSettings(BaseModel):
    """What lm-eval's results file says of one task, as far as it is used."""

    filter_list: list[dict[str, Any]] | None = None
    dataset_path: _Text = None
    dataset_name: _Text = None
    test_split: _Text = None
    validation_split: _Text = None
    metadata: Any = None


class Recorded(BaseModel):
    """What is used of lm-eval's results file."""

    task_hashes: dict[str, str] | None = None
    configs: dict[str, TaskSettings] = Field(default_factory=dict)
    group_subtasks: dict[str, list[str]] = Field(default_factory=dict)
    pretty_env_info: _Text = None
    date: float | None = Field(default=None, ge=0, le=253402300799)  # the last of the year 9999


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        raise ValueError("not there, or no plain file")
    return cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb"))


def _content(path: Path) -> bytes:
    with _open(path) as file:
        content = file.read(OBJECT + 1)
    _bound("the file", len(content), OBJECT)
    return content


def _object(content: bytes) -> dict[str, Any]:
    value = json.loads(content.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _bound(what: str, size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"{what} unpacks to more than {most:,} bytes")
