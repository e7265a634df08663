"""What something was made from: repos at their commits, folders of this machine, licences."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.card import read_metadata
from rvec_merge.hub.errors import HubError, Missing, Unreachable
from rvec_merge.hub.explained import explained
from rvec_merge.hub.layout import KindName
from rvec_merge.hub.references import HubReference, named_repo
from rvec_merge.hub.snapshot import TIMEOUT, client
from rvec_merge.merge.provenance import read_provenance
from rvec_merge.recipe.read import Recipe, parse_recipe
from rvec_merge.vector.format import read_head


@dataclass(frozen=True)
class Source:
    """One input: its reference, the commit, and the licence, as far as somebody recorded them."""

    reference: str
    revision: str | None = None
    license: str | None = None


@dataclass(frozen=True)
class Origin:
    """What something was made from.

    Attributes:
        models: the repos, in the order of the sources, each once.
        licenses: what each repo and folder states, by name.
        local: inputs that are no repo of the Hub.
    """

    models: tuple[HubReference, ...] = ()
    licenses: Mapping[str, str | None] = field(default_factory=dict)
    local: tuple[str, ...] = ()

    @property
    def foremost(self) -> tuple[HubReference, ...]:
        """The repo that the first source names; empty if that is a folder."""
        first = next(iter(self.licenses), None)
        return tuple(model for model in self.models if model.repo_id == first)

    @property
    def shared_license(self) -> str | None:
        """The licence that every input states, where they all state the same."""
        stated = set(self.licenses.values())
        return stated.pop() if len(stated) == 1 else None


def recipe_sources(recipe: Recipe) -> list[Source]:
    """What a recipe names, its target first."""
    base = recipe.config.base_model
    target = None if base is None else str(base.model)
    return [Source(name) for name in sorted(recipe.named_models(), key=lambda n: n != target)]


def folder_sources(kind: KindName, path: Path) -> list[Source]:
    """What a folder's provenance names: the target first, or the donor that a vector moves."""
    if kind == "vector":
        donors = sorted(read_head(path).donors.items(), key=lambda item: item[0] != "sft")
        return [Source(d.reference, d.revision, d.license) for _, d in donors]
    if kind == "merge":
        provenance = read_provenance(path)
        target = str(parse_recipe(provenance.recipe).config.base_model)
        inputs = sorted(provenance.inputs, key=lambda i: i.reference != target)
        return [Source(i.reference, i.revision, i.license) for i in inputs]
    return []


def origin_of(sources: Iterable[Source]) -> Origin:
    """Tell repos from folders, and read the licences that their own cards state.

    What was recorded stands in where the Hub does not answer. A name without a commit that the
    Hub does not know is taken for a folder's.
    """
    models: dict[str, HubReference] = {}
    licenses: dict[str, str | None] = {}
    local: list[str] = []
    reachable = True
    for source in _apart(sources):
        found = _hub_reference(source)
        license = source.license
        if found is not None and found.repo_id in models:
            continue
        if found is not None and reachable:
            try:
                license = license_on_hub(found) or license
            except Missing:
                found = found if found.is_pinned else None
            except Unreachable:
                reachable = False
            except HubError:
                pass  # the commit is gone, or access is refused: it is a repo all the same
        if found is None:
            local.append(source.reference)
            licenses[source.reference] = license or folder_license(Path(source.reference))
        else:
            models[found.repo_id] = found
            licenses[found.repo_id] = license
    return Origin(tuple(models.values()), licenses, tuple(local))


def license_on_hub(reference: HubReference) -> str | None:
    """The licence in the card of a repo; None if it states none.

    Raises:
        HubError: the repo cannot be seen.
    """
    with explained(str(reference)):
        info = client().model_info(reference.repo_id, revision=reference.revision, timeout=TIMEOUT)
    return stated_license({} if info.card_data is None else info.card_data.to_dict())


def folder_license(folder: Path) -> str | None:
    """The licence in a folder's own card; None if it states none, or cannot be read."""
    return stated_license(read_metadata(folder))


def stated_license(metadata: Mapping[str, Any]) -> str | None:
    """The licence that a card's metadata state."""
    license = metadata.get("license")
    if isinstance(license, list):
        license = ", ".join(map(str, license))
    return license.strip() or None if isinstance(license, str) else None


def _apart(sources: Iterable[Source]) -> Iterable[Source]:
    """Models and adapters each by itself; what was recorded is about the model."""
    for source in sources:
        model, *adapters = source.reference.split("+")
        yield Source(model, source.revision, source.license)
        yield from map(Source, adapters)


def _hub_reference(source: Source) -> HubReference | None:
    found = named_repo(source.reference)
    return found if found is None or source.revision is None else found.at(source.revision)
