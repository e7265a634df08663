"""The model card of what is shared: metadata that the Hub indexes, and how to use it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.hub.errors import HubError
from rvec_merge.hub.layout import CARD, RECIPE, Kind
from rvec_merge.hub.references import HubReference, named_repo
from rvec_merge.safe_yaml import load_yaml

LIBRARY = "rvec-merge"
TAGS = ("reasoning-vector", "mergekit", "merge")
PAPER = "arxiv:2509.01363"
RECIPE_TAG = "rvec-recipe"  # `rvec recipes --hub` looks for it


@dataclass(frozen=True)
class Origin:
    """What a card says of where the content came from.

    Attributes:
        models: the repos it was made from, in order of importance.
        licenses: what each of them states, by name.
    """

    models: tuple[HubReference, ...]
    licenses: Mapping[str, str | None]


def kind_tag(kind: Kind) -> str:
    """The tag that tells our kinds of repo apart."""
    return f"rvec-{kind.name}"


def stated_license(folder: Path) -> str | None:
    """The licence of a folder's own card; None if it states none."""
    data, _ = _read_card(folder / CARD)
    found = data.get("license")
    return found if isinstance(found, str) and found.strip() else None


def write_card(
    kind: Kind, repo_id: str, license: str, origin: Origin, folder: Path, recipe: str | None
) -> str:
    """The text of ``README.md``: a card that is there keeps its body and its other metadata.

    Args:
        folder: what is shared; for a recipe, where its results lie, if anywhere.
        recipe: the text of the recipe that is shared.
    """
    from huggingface_hub import ModelCardData

    data, body = _read_card(folder / CARD) if kind.name != "recipe" else ({}, "")
    tags = [*TAGS, kind_tag(kind), PAPER]
    data["tags"] = [*tags, *(tag for tag in data.get("tags") or [] if tag not in tags)]
    models = list(dict.fromkeys(model.repo_id for model in origin.models))
    for key in ("base_model", "base_model_relation"):
        data.pop(key, None)
    if models:
        data |= {"base_model": models, "base_model_relation": "merge"}
    data |= {"license": license, "library_name": LIBRARY}
    front = ModelCardData(**data).to_yaml()
    return f"---\n{front}\n---\n\n{body or _body(kind, repo_id, origin, folder, recipe)}"


def _read_card(path: Path) -> tuple[dict[str, Any], str]:
    """Metadata and body; nothing where there is no card."""
    if not path.is_file():
        return {}, ""
    from huggingface_hub import ModelCard
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    try:
        text = path.read_text("utf-8")
        if found := REGEX_YAML_BLOCK.search(text):
            load_yaml(found.group(2), source=CARD)  # bounds what the library then expands
        card = ModelCard(text, ignore_metadata_errors=True)
        return card.data.to_dict(), card.text.lstrip("\n")
    except Exception as error:  # foreign code over any YAML; it promises no exception types
        raise HubError(
            "The card has metadata that cannot be kept.",
            [f"{path}", *f"{error}".splitlines()[:3]],
            "correct the block between the --- lines of README.md.",
        ) from None


def _body(kind: Kind, repo_id: str, origin: Origin, folder: Path, recipe: str | None) -> str:
    name = repo_id.partition("/")[2] or repo_id
    if kind.name == "recipe":
        parts = [_recipe_text(repo_id, recipe or ""), _results_text(folder)]
    elif kind.name == "vector":
        parts = [_vector_text(repo_id, folder)]
    elif kind.name == "merge":
        parts = [_MERGE.format(repo=repo_id)]
    else:
        parts = [_results_text(folder) or _RESULTS]
    return "\n".join([f"# {name}\n", *filter(None, parts), _made_from(origin)]).rstrip() + "\n"


def _recipe_text(repo_id: str, recipe: str) -> str:
    return _RECIPE.format(repo=repo_id, name=RECIPE, recipe=recipe.rstrip())


def _results_text(folder: Path) -> str:
    path = folder / "summary.md"
    if not path.is_file():
        return ""
    lines = path.read_text("utf-8").strip().splitlines()
    if lines and lines[0].startswith("# "):
        lines[0] = "## Results"
    return "\n".join(lines) + "\n"


def _vector_text(repo_id: str, folder: Path) -> str:
    totals = json.loads((folder / "rvec_vector.json").read_text("utf-8"))["totals"]
    density = totals["nonzero"] / max(totals["elements"], 1)
    return _VECTOR.format(repo=repo_id, density=f"{density:.1%}", **totals)


def _made_from(origin: Origin) -> str:
    if not origin.models:
        return ""
    lines = ["## Made from\n"]
    for model in origin.models:
        license = origin.licenses.get(model.repo_id)
        at = f" at commit `{model.revision}`" if model.revision else ""
        lines.append(
            f"- [{model.repo_id}](https://huggingface.co/{model.repo_id}){at}"
            f"{f', {license}' if license else ''}"
        )
    return "\n".join(lines) + "\n"


def origin_of(names: Sequence[tuple[str, str | None, str | None]]) -> Origin:
    """From (reference, revision, licence) as provenance has them; folders are left out."""
    models, licenses = [], {}
    for name, revision, license in names:
        for part in name.split("+"):
            found = named_repo(part)
            if found is not None:
                models.append(found.at(revision) if revision else found)
                licenses[found.repo_id] = license
    return Origin(tuple(models), licenses)


_RECIPE = """\
A reasoning vector added to a target model: a [mergekit](https://github.com/arcee-ai/mergekit)
recipe for `merge_method: reasoning_vector`. Every model in it is pinned to a commit.

```sh
pip install rvec-merge
rvec check hf://{repo}       # reads headers alone
rvec merge hf://{repo} out/
```

`{name}`:

```yaml
{recipe}
```
"""
_VECTOR = """\
A reasoning vector: the exact difference of two checkpoints, one trained with reinforcement
learning and the one it started from. {elements:,} elements in {tensors} tensors, of which
{density} are not zero; 2-norm {norm:.4g}.

```sh
pip install rvec-merge
rvec inspect hf://{repo}
```

To merge it, name this repo as a donor:

```yaml
merge_method: reasoning_vector
base_model: org/target
models:
  - model: {repo}
    parameters: {{role: vector}}
parameters:
  scale: 1.0
out_dtype: bfloat16
```
"""
_MERGE = """\
A model with a reasoning vector added. `rvec_merge.json` has the recipe and the inputs; `rvec pull
{repo}` followed by `rvec verify` recomputes the weights and compares their bits.
"""
_RESULTS = "Results of `rvec experiment`: lm-eval's own result and sample files, cell by cell.\n"
