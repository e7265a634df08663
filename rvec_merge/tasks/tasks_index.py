"""The names of our lm-eval tasks and groups, read without importing lm-eval."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rvec_merge.recipe.resources import folder


@dataclass(frozen=True)
class TaskEntry:
    """One name for ``--tasks``.

    Attributes:
        group: the group that lists it, if one does.
        budget: tokens that an output may have, as its file says.
    """

    name: str
    kind: str
    summary: str
    group: str | None
    budget: int | None = None


class _Loader(yaml.SafeLoader):
    """Reads ``!function`` as its text: nothing is imported to list names."""


_Loader.add_constructor(
    "!function",
    lambda loader, node: loader.construct_scalar(node),  # type: ignore[arg-type]
)


def include_path() -> Path:
    """What lm-eval's ``--include_path`` needs."""
    return folder("eval") / "tasks"


def _summary(config: Mapping[str, Any], text: str) -> str:
    told = (config.get("metadata") or {}).get("summary")
    first = text.partition("\n")[0]
    return str(told) if told else first.lstrip("# ") if first.startswith("#") else ""


def stated_budget(name: str) -> int | None:
    """Tokens that an output of a task of ours may have; of a group, the most of its tasks'."""
    within = [e for e in _ours() if name in (e.name, e.group)]
    return max((e.budget for e in within if e.budget is not None), default=None)


@cache  # two hundred small files
def _ours() -> list[TaskEntry]:
    return list_tasks()


def list_tasks(root: Path | None = None) -> list[TaskEntry]:
    """Every task and group below ``root`` (default: ours), by name."""
    configs = []
    for path in sorted((root or include_path()).rglob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        configs.append((yaml.load(text, Loader=_Loader), text))
    groups = {
        member: config["group"]
        for config, _ in configs
        if "group" in config
        for member in config["task"]
    }
    entries = []
    for config, text in configs:
        kind = "group" if "group" in config else "task"
        if kind not in config:
            continue
        name = config[kind]
        budget = (config.get("generation_kwargs") or {}).get("max_gen_toks")
        entries.append(TaskEntry(name, kind, _summary(config, text), groups.get(name), budget))
    return sorted(entries, key=lambda entry: entry.name)
