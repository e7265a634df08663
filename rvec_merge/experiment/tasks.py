"""The tasks of an experiment: built once, checked, counted and fingerprinted."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from rvec_merge.answer.judge import METRICS
from rvec_merge.errors import PlanError, TaskError
from rvec_merge.experiment.conditions import Cell
from rvec_merge.experiment.plan import TaskPlan
from rvec_merge.shown import quiet
from rvec_merge.tasks.forced import Withholding
from rvec_merge.tasks.harness import foreign_task
from rvec_merge.tasks.perturb.items import ORIGIN
from rvec_merge.tasks.perturb.spec import suffix

_OURS = "rvec_"  # no task of lm-eval's begins like this, so its index need not be built


class TaskBook:
    """lm-eval task objects by variant name; each is built when first asked for."""

    def __init__(self) -> None:
        self._ours: Any = None
        self._stock: Any = None
        self._built: dict[str, Mapping[str, Any]] = {}
        # Reading a set's items takes longer than a small model needs to see them.
        self.items = cache(self._items)
        self.fingerprint = cache(self._fingerprint)

    def tasks(self, variant: str) -> Mapping[str, Any]:
        """The task objects behind a name: one, or a group's subtasks, by their own names.

        Raises:
            PlanError: there is no such task.
            TaskError: it cannot be built, or its data cannot be fetched.
        """
        if variant not in self._built:
            manager = self.manager(variant)
            with quiet(), foreign_task(variant):
                self._built[variant] = manager.load([variant])["tasks"]
        return self._built[variant]

    def is_here(self, variant: str) -> bool:
        """Whether the items of a variant can be had: from a local folder, the cache, or the Hub."""
        try:
            self.tasks(variant)
        except TaskError:
            return False
        return True

    def generates(self, variant: str) -> bool:
        """Whether outputs are written for it, and not only given answers scored."""
        types = {task.config.output_type for task in self.tasks(variant).values()}
        return "generate_until" in types

    def require(self, cells: Iterable[Cell]) -> None:
        """Refuse cells whose variant does not exist.

        Raises:
            PlanError: a task is unknown, or does not support a prompt or perturbation.
        """
        for cell in cells:
            self.manager(cell.task)
            if cell.variant == cell.task or self.knows(cell.variant):
                continue
            wanted = cell.perturbation or cell.prompt
            has = [n for n in self._names() if n.startswith(f"{cell.task}_")]
            raise PlanError(
                f"The task {cell.task} has no variant {wanted!r}.",
                [f"its variants: {', '.join(sorted(has)) or 'none'}"],
                f"take {wanted!r} out of the plan, or the task.",
            )

    def _items(self, variant: str, limit: int | None) -> dict[str, list[tuple[int, str]]]:
        """The items each subtask evaluates: (doc_id, the item's name).

        The name is that of the clean item, so that clean and perturbed items can be matched and
        split alike.
        """
        found = {}
        for name, task in self.tasks(variant).items():
            with foreign_task(name):
                docs = list(task.eval_docs)[:limit]
            clean = _clean_name(name, task)
            found[name] = [(i, f"{clean}/{doc.get(ORIGIN, i)}") for i, doc in enumerate(docs)]
        return found

    def budget(self, variant: str, given: int | None) -> int | None:
        """Tokens that an output may have: the plan's, else the tasks'; None where they differ."""
        if given is not None:
            return given
        kwargs = [task.config.generation_kwargs or {} for task in self.tasks(variant).values()]
        stated = {k.get("max_gen_toks") for k in kwargs}
        return stated.pop() if len(stated) == 1 else None

    def withholding(self, variant: str) -> Withholding | None:
        """What the forced-steps diagnostic withholds; None where a subtask cannot count steps."""
        found = [Withholding.of(task) for task in self.tasks(variant).values()]
        return found[0] if all(found) else None

    def _fingerprint(self, variant: str, limit: int | None) -> str:
        """sha256 of the tasks' settings and items: what a prompt and its score depend on."""
        digest = hashlib.sha256()
        for name, task in sorted(self.tasks(variant).items()):
            with foreign_task(name):
                config = task.config.to_dict(keep_callable=False)
                shots = [dict(d) for d in task.fewshot_docs()] if config.get("num_fewshot") else []
            metadata = dict(config.pop("metadata", None) or {})
            metadata.pop("config_source", None)  # a path of this machine
            docs = [dict(doc) for doc in list(task.eval_docs)[:limit]]
            for part in (name, config, metadata, docs, shots, task.VERSION):
                text = json.dumps(part, sort_keys=True, default=str)
                digest.update(re.sub(r" at 0x[0-9a-f]+", "", text).encode())
        return digest.hexdigest()

    def metric(self, plan: TaskPlan, variant: str) -> tuple[str, str]:
        """The metric and the filter that are tested: the plan's, or the task's first.

        Raises:
            PlanError: the task has no such metric or filter, or the metric is not a mean over
                items of which more is better: a difference of it would mean nothing here.
        """
        task = next(iter(self.tasks(variant).values()))
        metrics = [m["metric"] for m in task.config.metric_list or []]
        # A function may log its result under any name: HumanEval's is pass@1.
        named = any(not isinstance(m, str) for m in metrics)
        metrics = [m if isinstance(m, str) else m.__name__ for m in metrics]
        metrics = metrics or list(task.aggregation())
        own = [name for name in METRICS if name in task.aggregation()]
        # A filter is named for what it reads; `answer` reads the whole output.
        metrics = [*metrics, *own] if plan.filter and not plan.metric else [*own, *metrics]
        filters = [f["name"] for f in task.config.filter_list or []] or ["none"]
        for what, wanted, known in (
            ("metric", plan.metric, metrics),
            ("filter", plan.filter, filters),
        ):
            if wanted is not None and wanted not in known and not (what == "metric" and named):
                raise PlanError(
                    f"The task {variant} has no {what} {wanted!r}.",
                    [f"it has {', '.join(known)}"],
                    f"correct the {what} in the plan.",
                )
        metric = plan.metric or metrics[0]
        if named and metric not in metrics:
            return metric, plan.filter or filters[0]
        aggregated = getattr(task.aggregation().get(metric), "__name__", "unknown")
        if aggregated != "mean" or not task.higher_is_better().get(metric, True):
            lower = "lower is better" if aggregated == "mean" else f"lm-eval takes its {aggregated}"
            raise PlanError(
                f"The metric {metric!r} of {variant} cannot be compared item by item.",
                [lower, f"the task has {', '.join(metrics)}"],
                "name one that is a mean over items, and better when higher; or leave the task.",
            )
        return metric, plan.filter or filters[0]

    def knows(self, name: str) -> bool:
        """Whether a variant of that name exists."""
        return name in self._names()

    def _names(self) -> set[str]:
        from rvec_merge.tasks.variants import task_manager

        if self._ours is None:
            self._ours = task_manager()
        names = set(self._ours.task_index)
        return names | set(self._stock.task_index) if self._stock else names

    def manager(self, name: str) -> Any:
        """The index that knows ``name``: ours, or lm-eval's own, which takes seconds to build."""
        self._names()
        if name in self._ours.task_index:
            return self._ours
        ours = name.startswith(_OURS)
        if self._stock is None and not ours:
            from lm_eval.tasks import TaskManager

            self._stock = TaskManager()
        if ours or name not in self._stock.task_index:
            near = get_close_matches(name, self._names(), n=3)
            raise PlanError(
                f"Unknown task {name!r}.",
                [f"did you mean {', '.join(near)}?"] if near else [],
                "`rvec tasks` lists ours, `lm_eval ls tasks` lm-eval's.",
            )
        return self._stock


def _clean_name(name: str, task: Any) -> str:
    """The name of the task whose items these are, before prompt and perturbation."""
    label = (task.config.metadata or {}).get("perturbation", "none")
    if label != "none":
        name = name.removesuffix(suffix(label.split()[0]))
    return name.removesuffix("_think")
