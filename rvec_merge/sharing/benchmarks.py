"""Which datasets of the Hub are benchmarks, and what they call their tasks."""

from pathlib import Path
from typing import Any

from rvec_merge.errors import RvecError
from rvec_merge.hub.explained import explained
from rvec_merge.hub.snapshot import client
from rvec_merge.recipe.yaml import TEXT_LIMIT, load_yaml

_FILE = "eval.yaml"  # a dataset that has it is a benchmark


def benchmark_task(dataset: str, config: str | None, split: str | None) -> str | None:
    """The id of the one task that a benchmark has on this configuration and split.

    None where the dataset is no benchmark, has no such task or several, or where neither the Hub
    nor its cache can say.

    Source: https://huggingface.co/docs/hub/eval-results
    """
    try:
        with explained(dataset):
            path = Path(client().hf_hub_download(dataset, _FILE, repo_type="dataset"))
            text = path.read_text("utf-8") if path.stat().st_size <= TEXT_LIMIT else ""
        stated = load_yaml(text, source=f"{dataset}/{_FILE}")
    except RvecError:
        return None
    tasks = stated.get("tasks") if isinstance(stated, dict) else None
    found = [
        task["id"]
        for task in (tasks if isinstance(tasks, list) else ())
        if isinstance(task, dict) and isinstance(task.get("id"), str)
        if _default(task.get("config")) == _default(config)
        if (task.get("split") or "test") == split
    ]
    return found[0] if len(found) == 1 else None


def _default(config: Any) -> Any:
    return config or "default"
