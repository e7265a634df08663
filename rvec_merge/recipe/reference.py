"""What a recipe calls a model: ``path[@revision][+adapter[@revision]]``, as mergekit writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
