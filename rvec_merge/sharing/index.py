"""What the Hub knows of others: recipes that they shared, datasets that are benchmarks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rvec_merge.errors import RvecError
from rvec_merge.hub.explained import explained
from rvec_merge.hub.layout import KINDS, TAGS
from rvec_merge.hub.references import SCHEME
from rvec_merge.hub.snapshot import client
from rvec_merge.recipe.yaml import TEXT_LIMIT, load_yaml

MOST = 100
_SCANNED = 10 * MOST  # of a server that lists other models too
_FILE = "eval.yaml"  # a dataset that has it is a benchmark


@dataclass(frozen=True)
class HubRecipe:
    """A recipe repo, as the Hub's index has it.

    Attributes:
        name: what the commands take, hf://REPO_ID.
        target: its base model; None if its card names none.
        updated: the day of its last commit; None if the Hub does not say.
    """

    name: str
    target: str | None
    likes: int
    updated: str | None


def search_recipes() -> tuple[HubRecipe, ...]:
    """The ``MOST`` repos changed last among those tagged as recipes.

    The Hub counts downloads of files that a recipe repo does not have.

    Raises:
        HubError: the Hub cannot be reached.
    """
    with explained("the Hub's list of recipes"):
        found = islice(_found(), MOST)
        return tuple(sorted(found, key=lambda recipe: recipe.updated or "", reverse=True))


def _found() -> Iterator[HubRecipe]:
    wanted = [TAGS[0], KINDS["recipe"].tag]
    listed = client().list_models(filter=wanted, sort="last_modified", limit=_SCANNED, full=True)
    for info in listed:
        tags = [str(tag) for tag in info.tags or []]
        if not set(wanted) <= set(tags):
            continue
        # The Hub makes base_model:ID and base_model:RELATION:ID of a card's base models.
        bases = [t.partition(":")[2] for t in tags if t.startswith("base_model:")]
        targets = [base for base in bases if "/" in base and ":" not in base]
        day = None if info.last_modified is None else f"{info.last_modified:%Y-%m-%d}"
        name = f"{SCHEME}{info.id}"
        yield HubRecipe(name, targets[0] if targets else None, info.likes or 0, day)


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
