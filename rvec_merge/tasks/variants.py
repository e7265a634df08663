"""``class: !function rvec_merge.tasks.variants.Variant``: a task that is another plus changes.

Nothing of a built-in task is copied: its file is read from the installed lm-eval, and keys of our
file override it. A variant that changes neither prompt nor items has the built-in's task hash.
"""

from collections.abc import Callable, Iterator
from typing import Any

import datasets
from lm_eval.api.metrics import mean
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from rvec_merge.answer.judge import METRICS, judge
from rvec_merge.errors import TaskError, why
from rvec_merge.recipe.resources import folder
from rvec_merge.tasks.harness import fast_templates, foreign_task
from rvec_merge.tasks.local_data import SWITCH, data_folder, digest, read_items
from rvec_merge.tasks.perturb.items import LABEL, Realised
from rvec_merge.tasks.variant_config import Perturb, compose


class _Item(dict[str, Any]):
    """A document that knows its number: lm-eval asks for metrics by the document alone."""

    doc_id: int


class Variant(ConfigurableTask):
    """An lm-eval task: a base, and perhaps another prompt, a perturbation, local data.

    ``config.metadata`` says what it is: ``base``, ``base_version``, ``prompt``, ``perturbation``
    ("none", or kind, generator version and seed), and ``data_sha256`` per local split.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.spec, composed = compose(config)
        self.think_end: str | None = None
        self._judged: dict[int, dict[str, float]] = {}
        super().__init__(config=composed)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Read the local data if ``RVEC_EVAL_DATA`` is set, else what the base reads."""
        config = self.config
        names = (
            config.training_split,
            config.validation_split,
            config.test_split,
            config.fewshot_split,
        )
        splits = list(dict.fromkeys(name for name in names if name))
        root, data = data_folder(), self.spec.data
        # A base that brings its items along need not have them replaced.
        own = config.custom_dataset is not None
        if root is None or data is None or (own and not (root / data).is_dir()):
            super().download(dataset_kwargs, **kwargs)
            return
        local = {split: read_items(root / data / f"{split}.jsonl") for split in splits}
        config.metadata["data_sha256"] = {name: digest(items) for name, items in local.items()}
        try:
            self.dataset = datasets.DatasetDict(
                {name: datasets.Dataset.from_list(items) for name, items in local.items()}
            )
        except (ValueError, TypeError, OverflowError) as error:  # Arrow's are of these kinds
            raise TaskError(
                "A column of a task's local data holds values of several kinds.",
                [f"{root / data}", why(error)],
                "write all values of a column as one kind, those of the hub's dataset.",
            ) from None
        tested = self.dataset[config.test_split or config.validation_split]
        if self.spec.perturbation is None and LABEL in tested.column_names:
            raise TaskError(
                "A task without a perturbation was given perturbed items.",
                [f"task: {config.task}", f"data: {tested[0][LABEL]}"],
                f"evaluate it with the task's perturbed variant, or set {SWITCH} to clean data.",
            )

    def build_all_requests(self, **kwargs: Any) -> None:
        with fast_templates():
            super().build_all_requests(**kwargs)

    def doc_iterator(self, **options: Any) -> Iterator[tuple[int, Any]]:
        for doc_id, doc in super().doc_iterator(**options):
            item = _Item(doc)
            item.doc_id = doc_id
            yield doc_id, item

    def apply_filters(self) -> Any:
        """Filter, and judge the outputs as they are: a filter has lost what it did not look for.

        In metrics of every filter rather than a filter of its own, which would change the task's
        hash.
        """
        if self.spec.answer is not None:
            self._judged = {
                one.doc_id: judge(
                    self.spec.answer,
                    one.doc,
                    self.doc_to_text(one.doc),
                    str(self.doc_to_target(one.doc)),
                    one.resps,
                    self.think_end,
                )
                for one in self.instances
            }
        return super().apply_filters()

    def process_results(self, doc: dict[str, Any], results: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().process_results(doc, results)
        judged = self._judged.get(doc.doc_id) if isinstance(doc, _Item) else None
        return {**found, **(judged or {})}

    def aggregation(self) -> dict[str, Callable[..., Any]]:
        own = dict.fromkeys(METRICS, mean) if self.spec.answer else {}
        return {**super().aggregation(), **own}

    def higher_is_better(self) -> dict[str, bool]:
        return {**super().higher_is_better(), **(METRICS if self.spec.answer else {})}

    def realised(self) -> Realised:
        """The perturbed set that this task evaluates.

        Raises:
            TaskError: the task has no perturbation.
        """
        if not isinstance(self.config.process_docs, Perturb):
            raise TaskError(
                f"The task {self.config.task} has no perturbation.",
                fix="name one of its perturbed variants; `rvec tasks` lists them.",
            )
        split = self.config.test_split or self.config.validation_split
        return self.config.process_docs.report(self.dataset[split])


def task_manager() -> TaskManager:
    """lm-eval's index of our tasks alone, which is quick to build."""
    return TaskManager(include_path=str(folder("eval") / "tasks"), include_defaults=False)


def scored_by_lm_eval(model: str, **options: Any) -> dict[str, Any]:
    """What ``lm_eval run`` finds with our tasks alone, which takes no time to index."""
    from lm_eval import simple_evaluate

    found: dict[str, Any] = simple_evaluate(model, task_manager=task_manager(), **options)
    return found


def load_variant(name: str, *, seed: int | None = None) -> Variant:
    """Build one of our tasks by name, perhaps with another perturbation seed.

    Raises:
        TaskError: there is no such task, it is not a variant, or its data cannot be fetched.
    """
    entry = task_manager().task_index.get(name)
    path = entry.yaml_path if entry else None
    config = load_yaml(path) if path else {}
    if config.get("class") is not Variant:
        raise TaskError(
            f"There is no task variant {name!r}.",
            fix="`rvec tasks` lists the names: take a perturbed one, such as rvec_gsm8k_typos.",
        )
    config["metadata"] = {**(config.get("metadata") or {}), "config_source": str(path)}
    if seed is not None and config.get("perturbation"):
        config["perturbation"] = {**config["perturbation"], "seed": seed}
    with foreign_task(name):
        return Variant(config)
