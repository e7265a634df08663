"""The names, budgets and sizes of our lm-eval tasks and groups, without importing lm-eval."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rvec_merge.recipe.resources import folder

# The evaluated split, by the longest prefix of a task's name.
_SIZES = {
    "rvec_gsm8k": (1319,),
    "rvec_gsm_plus": (2400,),
    "rvec_humaneval": (164,),
    "rvec_math500": (500,),
    "rvec_aime24": (30,),
    "rvec_aime25": (30,),
    "rvec_sciq": (1000,),
    "rvec_bbh": (250,) * 23 + (187, 146, 178, 178),
}


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


def known_sizes(variant: str) -> tuple[int, ...]:
    """The items of each subtask of a variant's clean set; empty where that is not known.

    Source: the data sets' cards. A perturbed set has at most as many.
    """
    found = [name for name in _SIZES if variant.startswith(name)]
    return _SIZES[max(found, key=len)] if found else ()
