"""Write eval/tasks from the table of benchmarks.

``python -m tools.generate_tasks``, in a checkout. lm-eval finds one task per file,
so every benchmark x prompt x perturbation is a file of its own; with ``--check`` nothing is written
and stale files are an error.
"""

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.perturb.spec import Perturbation, suffix
from tools.benchmarks import BBH, BBH_SHOTS, GENERAL, Benchmark, Function

_HEADER = "# Written by `python -m tools.generate_tasks`; edit benchmarks.py instead.\n"
_PROMPTS = ("", "_think")


class _Dumper(yaml.SafeDumper):
    """Plain YAML, with ``!function`` and without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\n" in text else None
    )


_Dumper.add_representer(str, _string)
_Dumper.add_representer(Function, lambda dumper, name: dumper.represent_scalar("!function", name))


def _text(config: Mapping[str, Any]) -> str:
    return _HEADER + yaml.dump(
        dict(config), Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True
    )


def _summary(summary: str, think: str, kind: str | None) -> str:
    return summary + (", think" if think else "") + (f", {kind}" if kind else "")


def _task(benchmark: Benchmark, think: str, kind: Perturbation | None) -> dict[str, Any]:
    overrides = dict(benchmark.overrides)
    config: dict[str, Any] = {
        "task": f"rvec_{benchmark.name}{think}{suffix(kind) if kind else ''}",
        "class": Function("rvec_merge.tasks.variants.Variant"),
        "base": benchmark.base,
    }
    if benchmark.data:
        config["data"] = benchmark.data
    if benchmark.answer:
        config["answer"] = benchmark.answer
    if think:
        config["prompt"] = "think"
        if benchmark.cue:
            config["cue"] = benchmark.cue
        if benchmark.comment:
            config["comment"] = True
    if kind:
        config["perturbation"] = {"kind": kind, **benchmark.perturbations[kind]}
    metadata = {
        **overrides.pop("metadata", {}),
        "summary": _summary(benchmark.summary, think, kind),
    }
    return {**config, **overrides, "metadata": metadata}


def _group(shots: str, think: str, kind: str | None) -> dict[str, Any] | None:
    summary, filters = BBH_SHOTS[shots]
    suffix = f"{think}{f'_{kind}' if kind else ''}"
    members = [
        f"rvec_{benchmark.name}{suffix}"
        for benchmark in BBH
        if benchmark.folder == f"bbh/{shots}" and (kind is None or kind in benchmark.perturbations)
    ]
    if len(members) < 2:
        return None
    metrics = [
        {"metric": name, "weight_by_size": True, "filter_list": list(filters)}
        for name in ("exact_match", "answer", "no_answer")
    ]
    text = _summary(f"BIG-Bench Hard, {summary}", think, kind)
    return {
        "group": f"rvec_bbh_{shots}{suffix}",
        "task": members,
        "aggregate_metric_list": metrics,
        "metadata": {"version": 1.0, "summary": f"{text} ({len(members)} subtasks)"},
    }


def task_files() -> Iterator[tuple[str, str]]:
    """Every generated file: its path below eval/tasks, and its text."""
    for benchmark in (*GENERAL, *BBH):
        unchanged = (None,) if benchmark.plain else ()
        for think in _PROMPTS:
            for kind in (*unchanged, *benchmark.perturbations):
                config = _task(benchmark, think, kind)
                yield f"{benchmark.folder}/{config['task']}.yaml", _text(config)
    for shots in BBH_SHOTS:
        for think in _PROMPTS:
            for kind in (None, "typos", "distractor", "shuffle"):
                group = _group(shots, think, kind)
                if group is not None:
                    yield f"bbh/{group['group']}.yaml", _text(group)


def stale(root: Path) -> list[str]:
    """Paths below ``root`` that the table would write otherwise, or not at all."""
    wanted = dict(task_files())
    folders = {Path(path).parts[0] for path in wanted}
    found = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for name in folders
        for path in (root / name).rglob("*.yaml")
    }
    return sorted(
        path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)
    )


def write(root: Path) -> None:
    files = dict(task_files())
    for name in {Path(path).parts[0] for path in files}:
        shutil.rmtree(root / name, ignore_errors=True)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> None:
    root = folder("eval") / "tasks"
    if arguments != ["--check"]:
        write(root)
    elif different := stale(root):
        raise SystemExit("Stale below eval/tasks:\n  " + "\n  ".join(different))


if __name__ == "__main__":
    main(sys.argv[1:])
