"""What the JSON files of a results folder must hold to be read."""

from typing import Annotated

from pydantic import BaseModel, Field

_Means = Annotated[dict[str, float], Field(min_length=1)]


class _Facts(BaseModel, extra="allow"):
    """What is read of a cell's facts; see ``outputs.describe``."""

    items: int
    means: Annotated[dict[str, _Means], Field(min_length=1)]
    tokens: float | None
    parsable: float | None
    steps: float | None
    effective_scale: float | None
    lengths: dict[str, dict[str, int]]
    outputs: int | None = None
    seconds: float | None = None
    backend: dict[str, str | int | float | bool | None] | None = None


class _Task(BaseModel, extra="allow"):
    task: str


class _Plan(BaseModel, extra="allow"):
    recipe: str
    tasks: list[_Task]


class Head(BaseModel):
    """``experiment.json``; the plan may be one that another version understands."""

    format: int
    plan: _Plan
    recipe: str
    versions: dict[str, str]


class Filed(BaseModel):
    """``cell.json``; results of earlier versions do not name the files."""

    key: str
    condition: str
    variant: str
    facts: _Facts
    files: dict[str, str] = {}
