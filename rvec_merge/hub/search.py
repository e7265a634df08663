"""Recipes that others have shared."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from rvec_merge.hub.card import RECIPE_TAG, TAGS
from rvec_merge.hub.errors import explained
from rvec_merge.hub.references import SCHEME
from rvec_merge.hub.snapshot import client

MOST = 100


@dataclass(frozen=True)
class HubRecipe:
    """A recipe repo, as the Hub's index has it.

    Attributes:
        name: what the commands take, hf://REPO_ID.
        target: the first of its base models; None if its card names none.
        updated: the day of its last commit; None if the Hub does not say.
    """

    name: str
    target: str | None
    downloads: int
    likes: int
    updated: str | None


def search_recipes() -> tuple[HubRecipe, ...]:
    """The ``MOST`` recipes most downloaded among those tagged as recipes.

    Raises:
        HubError: the Hub cannot be reached.
    """
    with explained("the Hub's list of recipes"):
        return tuple(islice(_found(), MOST))


def _found() -> Iterator[HubRecipe]:
    listed = client().list_models(
        filter=[TAGS[0], RECIPE_TAG], sort="downloads", limit=MOST, full=True
    )
    for info in listed:
        tags = [str(tag) for tag in info.tags or []]
        # The Hub makes base_model:ID and base_model:RELATION:ID of a card's base models.
        bases = [t.partition(":")[2] for t in tags if t.startswith("base_model:")]
        targets = [base for base in bases if "/" in base and ":" not in base]
        day = None if info.last_modified is None else f"{info.last_modified:%Y-%m-%d}"
        yield HubRecipe(
            f"{SCHEME}{info.id}",
            targets[0] if targets else None,
            info.downloads or 0,
            info.likes or 0,
            day,
        )
