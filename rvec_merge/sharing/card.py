"""The model card of what is shared: metadata that the Hub indexes, and how to use it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.repocard import REGEX_YAML_BLOCK

from rvec_merge.checkpoint.card import CARD
from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError, RvecError
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.layout import RECIPE, TAGS, Kind, KindName
from rvec_merge.recipe.yaml import load_yaml
from rvec_merge.sharing.origin import Origin
from rvec_merge.vector.format import read_head

LIBRARY = "rvec-merge"
PAPER = "2509.01363"
# How the Hub's model tree shows a repo beside its base models. It infers `merge` where there are
# several and nothing is said. An adapter is what it calls weights that are no model by themselves.
_RELATION: Mapping[KindName, str] = {"recipe": "adapter", "vector": "adapter", "merge": "merge"}
# By transformers' own tables: the first that has the architecture says what the model is for.
_PIPELINES = (
    ("image-text-to-text", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"),
    (None, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES"),
    ("text-generation", "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"),
)


def write_card(
    kind: Kind, repo_id: str, license: str, origin: Origin, folder: Path, recipe: str | None
) -> str:
    """The text of ``README.md``: a card that is there keeps its body and its other metadata.

    Args:
        origin: the target or the sft donor first, which a recipe or a vector is for.
        folder: what is shared; for a recipe, where its results lie, if anywhere.
        recipe: the text of the recipe that is shared.
    """
    card = None if kind.name == "recipe" else open_card(folder)
    data = {} if card is None else card.data.to_dict()
    body = "" if card is None else card.text.lstrip("\n")
    tags = [*TAGS, *(["merge"] if kind.name == "merge" else []), kind.tag, f"arxiv:{PAPER}"]
    data["tags"] = [*tags, *(tag for tag in data.get("tags") or [] if tag not in tags)]
    bases = origin.models if kind.name == "merge" else origin.foremost
    for key in ("base_model", "base_model_relation"):
        data.pop(key, None)
    if bases and kind.name in _RELATION:
        data["base_model"] = [model.repo_id for model in bases]
        data["base_model_relation"] = _RELATION[kind.name]
    data["license"] = license
    _describe_library(kind, folder, data)
    front = ModelCardData(**data).to_yaml()
    return f"---\n{front}\n---\n\n{body or _body(kind, repo_id, origin, folder, recipe)}"


def pipeline_tag(model: Path) -> str | None:
    """What a checkpoint is for, as the Hub calls it; None where transformers has no word for it."""
    try:
        config = read_json(model / "config.json")
    except CheckpointError:
        return None
    from transformers.models.auto import modeling_auto

    stated = config.get("architectures")
    architecture = stated[0] if isinstance(stated, list) and stated else None
    for tag, table in _PIPELINES:
        classes = getattr(modeling_auto, table, {}).get(str(config.get("model_type")), ())
        if architecture in ((classes,) if isinstance(classes, str) else classes):
            return tag
    return None


def _describe_library(kind: Kind, folder: Path, data: dict[str, Any]) -> None:
    """Say what loads it: transformers loads a merge, and nothing but ours the rest."""
    if kind.name != "merge":
        data["library_name"] = LIBRARY
        return
    if data.get("library_name") in (None, LIBRARY):
        data["library_name"] = "transformers"
    if task := pipeline_tag(folder):
        data.setdefault("pipeline_tag", task)


def open_card(
    folder: Path, error: type[RvecError] = HubError, *, ignore_results: bool = True
) -> ModelCard | None:
    """A folder's card; None where there is none.

    Args:
        error: the class of error to raise.
        ignore_results: leave results that the Hub's client cannot read as they are.

    Raises:
        RvecError: its metadata cannot be kept.
    """
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        text = path.read_text("utf-8")
        if found := REGEX_YAML_BLOCK.search(text):
            load_yaml(found.group(2), source=CARD)  # bounds what the library then expands
        card = ModelCard(text, ignore_metadata_errors=ignore_results)
        card.data.to_dict()  # the library finds some of what is wrong when it writes
    except Exception as problem:  # foreign code over any YAML; it promises no exception types
        raise error(
            "The card has metadata that cannot be kept.",
            [f"{path}", *f"{problem}".splitlines()[:3]],
            "correct the block between the --- lines of README.md.",
        ) from None
    return card


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
    totals = read_head(folder).totals
    density = totals.nonzero / max(totals.elements, 1)
    return _VECTOR.format(repo=repo_id, density=f"{density:.1%}", **totals.model_dump())


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

**This is not a model.** transformers and other tools cannot load it: it holds packed differences
of weights, and `from_pretrained` ends with an error. A dense copy for tools that do not know the
format is made with

```sh
rvec extract --vector hf://{repo} --format dense dense/
```

Even so it is a difference: what loads it as a model gets noise. It belongs into a merge.

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
