"""What a recipe calls a model: ``path[@revision][+adapter[@revision]]``, as mergekit writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import CheckpointError
from rvec_merge.files.json_object import read_object
from rvec_merge.files.marks import ADAPTER_FILE


@dataclass(frozen=True)
class Place:
    """A folder, or a repo on the Hub; which of the two, the machine decides."""

    path: str
    revision: str | None = None

    def __str__(self) -> str:
        return self.path if self.revision is None else f"{self.path}@{self.revision}"


@dataclass(frozen=True)
class Reference:
    """A model as a recipe names it: what it is, and an adapter that is applied to it."""

    model: Place
    lora: Place | None = None

    def __str__(self) -> str:
        return str(self.model) if self.lora is None else f"{self.model}+{self.lora}"

    @classmethod
    def read(cls, value: Any) -> "Reference":
        """Read mergekit's text, or its mapping ``{model: {path, revision}, lora: ...}``.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            model, *more = value.split("+")
            if len(more) > 1:
                raise ValueError(f"more than one + in {value!r}")
            return cls(_place(model), *map(_place, more))
        if not isinstance(value, Mapping) or not {"model"} <= value.keys() <= {"model", "lora"}:
            raise ValueError("a model is written org/name, a path, or model+adapter")
        lora = value.get("lora")
        return cls(_place(value["model"]), None if lora is None else _place(lora))


def placed(value: Any) -> Any:
    """What a recipe writes for a model, once folders that are here are seen.

    A folder whose name holds ``@`` or ``+`` is that folder: what follows is neither a revision nor
    an adapter. An adapter's folder is the adapter on the base that its configuration names.

    Raises:
        CheckpointError: an adapter's configuration cannot be read.
    """
    if not isinstance(value, str) or not Path(value).is_dir():
        return value
    if (base := _base_of(Path(value))) is not None:
        return {"model": {"path": base}, "lora": {"path": value}}
    return {"model": {"path": value}} if {"@", "+"} & {*value} else value


def _base_of(folder: Path) -> str | None:
    """The base of an adapter that lies in a folder alone, if it names one."""
    if not (folder / ADAPTER_FILE).is_file() or any(folder.glob("model*.safetensors*")):
        return None
    fix = "save the adapter again with peft."
    base = read_object(folder / ADAPTER_FILE, CheckpointError, fix).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        return None
    beside = folder / base
    return str(beside) if beside.is_dir() and not Path(base).is_dir() else base


def _place(value: Any) -> Place:
    if isinstance(value, str):
        path, *more = value.split("@")
        value = {"path": path, "revision": more[0] if more else None}
        if len(more) > 1:
            raise ValueError(f"more than one @ in {path!r}…")
    if not isinstance(value, Mapping) or not {"path"} <= value.keys() <= {"path", "revision"}:
        raise ValueError("a model's place is text, or a mapping of path and revision")
    path, revision = value["path"], value.get("revision")
    if not (isinstance(path, str) and path and isinstance(revision, str | None)):
        raise ValueError("a model's path is missing, or no text")
    return Place(path, revision or None)
