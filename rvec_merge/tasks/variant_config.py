"""What a task file of ours says, and the lm-eval configuration it comes to."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import datasets
import lm_eval.tasks
from lm_eval.config.task import TaskConfig
from lm_eval.tasks._yaml_loader import _import_func_in_yml, load_yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from rvec_merge.answer.judge import Asked
from rvec_merge.errors import TaskError
from rvec_merge.files.explained import explained
from rvec_merge.tasks.perturb.gsm_plus import paired
from rvec_merge.tasks.perturb.items import SHOWN, Realised, realise
from rvec_merge.tasks.perturb.spec import GSM_PLUS, PerturbationSpec
from rvec_merge.tasks.prompts import with_shown_prompt, with_think

BUILT_IN = Path(lm_eval.tasks.__file__).parent
_LM_EVAL_KEYS = {field.name for field in fields(TaskConfig)} - {"task", "metadata"}
Prepare = Callable[[datasets.Dataset], datasets.Dataset]
_DROPPED = {"class", "task", "metadata", "include", "tag", "group"}


class VariantSpec(BaseModel):
    """The keys of a task file that are ours; all others are lm-eval's and override the base's.

    Attributes:
        base: a built-in task file, relative to lm_eval/tasks; with ``./`` or ``../``, a task file
            relative to this one.
        data: folder of this task's local data, below ``RVEC_EVAL_DATA``.
        prompt: ``think`` adds "Think step by step.".
        cue: what the base's prompt ends with after the question.
        comment: the prompt is code.
        perturbation: see ``PerturbationSpec``.
        answer: what an answer is, for the metric ``answer``; None for a task without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    data: str | None = None
    prompt: Literal["plain", "think"] = "plain"
    cue: str | None = None
    comment: bool = False
    perturbation: PerturbationSpec | None = None
    answer: Asked | None = None


OWN_KEYS = frozenset(VariantSpec.model_fields)


def read_variant(config: dict[str, Any]) -> tuple[VariantSpec, dict[str, Any]]:
    """Split a task file into what is ours and what overrides the base.

    Raises:
        TaskError: a key is neither ours nor lm-eval's, or a value cannot be meant.
    """
    name = config.get("task", "?")
    unknown = sorted(config.keys() - OWN_KEYS - _LM_EVAL_KEYS - _DROPPED)
    if unknown:
        raise TaskError(
            f"The task {name} has a key that nothing reads: {unknown[0]}.",
            [f"ours: {', '.join(sorted(OWN_KEYS))}", "others: those of an lm-eval task file"],
            "correct the spelling, or take the key out.",
        )
    try:
        spec = VariantSpec(**{key: config[key] for key in OWN_KEYS & config.keys()})
    except ValidationError as error:
        raise TaskError(
            f"The task {name} cannot be read.",
            explained(error),
            "correct these keys of the task file.",
        ) from None
    return spec, {k: v for k, v in config.items() if k in _LM_EVAL_KEYS}


def base_path(base: str, source: str | None) -> Path:
    """Find the file of ``base``.

    Raises:
        TaskError: there is none.
    """
    beside = base.startswith(("./", "../"))
    if beside and not source:
        raise TaskError(
            "A base relative to its task file needs a task file.",
            [f"base: {base}"],
            "write the task to a YAML file, or name a built-in base.",
        )
    path = (Path(source or "").parent if beside else BUILT_IN) / base
    if not path.is_file():
        raise TaskError(
            "The base of a task does not exist.",
            [f"base: {base}", f"looked for: {path}"],
            "name a file below lm_eval/tasks of the installed lm-eval, or ./FILE beside the task.",
        )
    return path.resolve()


def compose(config: dict[str, Any]) -> tuple[VariantSpec, dict[str, Any]]:
    """Return what is ours, and the base's configuration with everything applied.

    Functions of the base are imported only where they are still used: humaneval's utilities fetch
    a metric from the hub when they are imported.
    """
    spec, overrides = read_variant(config)
    given = dict(config.get("metadata") or {})
    path = base_path(spec.base, given.get("config_source"))
    base = load_yaml(path, resolve_func=False)
    told = base.get("metadata") or {}
    merged: dict[str, Any] = {
        **{key: value for key, value in base.items() if key not in _DROPPED},
        **overrides,
    }
    if "generation_kwargs" in overrides and merged.get("output_type") == base.get("output_type"):
        merged["generation_kwargs"] = {
            **(base.get("generation_kwargs") or {}),
            **overrides["generation_kwargs"],
        }
    merged = _resolve(merged, path.parent)
    merged["task"] = config.get("task", base.get("task"))
    merged["metadata"] = {
        **told,
        **given,
        "base": base.get("task"),
        "base_version": told.get("version"),
        "prompt": spec.prompt,
        "perturbation": spec.perturbation.label if spec.perturbation else "none",
    }
    if spec.prompt == "think":
        merged["doc_to_text"] = with_think(merged["doc_to_text"], spec.cue, comment=spec.comment)
    if spec.perturbation:
        _apply_perturbation(merged, spec.perturbation)
    return spec, merged


def _apply_perturbation(merged: dict[str, Any], spec: PerturbationSpec) -> None:
    prepare = merged.get("process_docs")
    shots = dict(merged.get("fewshot_config") or {})
    # Few-shots stay clean, also those that lm-eval would draw from a split by its own rule.
    shots.setdefault("process_docs", prepare)
    if "split" not in shots and "samples" not in shots:
        shots["split"] = (
            merged.get("fewshot_split")
            or merged.get("training_split")
            or merged.get("validation_split")
        )
    test = merged.get("test_split") or merged.get("validation_split")
    if (merged.get("num_fewshot") or 0) > 0 and shots.get("split") == test:
        raise TaskError(
            "A perturbed task cannot draw its few-shots from the items it tests.",
            [f"task: {merged['task']}", f"split of both: {test}"],
            "set num_fewshot: 0, or another fewshot_split: a clean twin would tell the answer.",
        )
    merged["fewshot_config"] = shots
    merged["process_docs"] = Perturb(spec, prepare)
    if spec.layout == "code":
        for key in ("doc_to_text", "gen_prefix"):
            if isinstance(merged.get(key), str):
                merged[key] = with_shown_prompt(merged[key], SHOWN)


class Perturb:
    """``process_docs`` of a perturbed task: the base's own, then the perturbation.

    lm-eval calls it four times per evaluation, so the last set is kept.
    """

    def __init__(self, spec: PerturbationSpec, prepare: Prepare | None = None) -> None:
        self.spec = spec
        self.prepare = prepare
        self._last: tuple[datasets.Dataset, datasets.Dataset, Realised] | None = None

    def __call__(self, items: datasets.Dataset) -> datasets.Dataset:
        return self._realised(items)[1]

    def report(self, items: datasets.Dataset) -> Realised:
        """The set with its yield and the reasons of the refusals."""
        return self._realised(items)[2]

    def _realised(
        self, items: datasets.Dataset
    ) -> tuple[datasets.Dataset, datasets.Dataset, Realised]:
        if self._last is None or self._last[0] is not items:
            prepared = self.prepare(items) if self.prepare else items
            make = paired if self.spec.kind in GSM_PLUS else realise
            done = make(prepared, self.spec)
            self._last = (items, datasets.Dataset.from_list(list(done.rows)), done)
        return self._last

    def __repr__(self) -> str:
        return f"Perturb({self.spec.label})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Perturb":
        # lm-eval copies a task's configuration into the results file.
        return self


def _resolve(value: Any, folder: Path) -> Any:
    """Import what ``load_yaml(resolve_func=False)`` left as ``folder/module.name``."""
    if isinstance(value, str) and value.startswith(f"{folder}/"):
        return _import_func_in_yml(value[len(f"{folder}/") :], folder)
    if isinstance(value, dict):
        return {key: _resolve(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, folder) for item in value]
    return value
