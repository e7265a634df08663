"""``rvec_merge.json``: where a merge came from, and what it did."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rvec_merge.arithmetic.effect import Effect
from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError
from rvec_merge.files.explained import explained
from rvec_merge.files.marks import MERGE_FILE
from rvec_merge.merge.settings import Settings
from rvec_merge.plan.inputs import Input
from rvec_merge.recipe.read import Recipe
from rvec_merge.vector.provenance import describe
from rvec_merge.version import __version__


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputFile(_Strict):
    """One weight file of an input; the hash is None where nobody stated or computed it."""

    bytes: int
    sha256: str | None


class InputRecord(_Strict):
    """One input: as the recipe names it, the Hub commit if it is known, and its files."""

    reference: str
    revision: str | None
    license: str | None
    files: dict[str, InputFile]


class EffectRecord(_Strict):
    """What the merge did; see ``arithmetic.effect.Effect``."""

    scale: float
    effective_scale: float
    lost: float
    density: float
    relative_norm: float | None
    elements: int


class Provenance(_Strict):
    """A merge's record.

    Attributes:
        executor: ``stream``, or ``mergekit`` for what cannot be streamed.
        recipe: the recipe's text; ``recipe_sha256`` is the hash of its UTF-8 bytes.
        allowed: settings in which the inputs' configs were allowed to differ.
        effect: None if mergekit's executor did the merge, or the vector is zero.
    """

    format: Literal["rvec-merge"]
    version: Literal[1]
    created_by: str
    mergekit: str
    executor: Literal["stream", "mergekit"]
    recipe: str
    recipe_sha256: str
    shard_size: int
    allowed: list[str] = []
    inputs: list[InputRecord]
    tensors: int
    bytes: int
    effect: EffectRecord | None


def record(
    recipe: Recipe,
    inputs: list[Input],
    settings: Settings,
    *,
    executor: Literal["stream", "mergekit"],
    tensors: int,
    nbytes: int,
    effect: Effect | None,
) -> Provenance:
    """What is known of a merge."""
    from importlib.metadata import version

    return Provenance(
        format="rvec-merge",
        version=1,
        created_by=f"rvec-merge {__version__}",
        mergekit=version("mergekit"),
        executor=executor,
        recipe=recipe.text,
        recipe_sha256=hashlib.sha256(recipe.text.encode()).hexdigest(),
        shard_size=settings.shard_size,
        allowed=list(settings.allowed),
        inputs=[_input(found, hash_files=settings.hash_files) for found in inputs],
        tensors=tensors,
        bytes=nbytes,
        effect=None if effect is None else EffectRecord(**vars(effect)),
    )


def write_provenance(provenance: Provenance, folder: Path) -> None:
    """Write ``rvec_merge.json``."""
    text = provenance.model_dump_json(indent=1) + "\n"
    (folder / MERGE_FILE).write_text(text, encoding="utf-8")


def read_provenance(folder: Path) -> Provenance:
    """The record in a merge's folder.

    Raises:
        CheckpointError: there is none, or it is malformed or of another version.
    """
    path = folder / MERGE_FILE
    if not path.is_file():
        raise CheckpointError(
            "The folder does not say how it was merged.",
            [f"{folder}", f"there is no {MERGE_FILE}"],
            "name a folder that `rvec merge` wrote.",
        )
    try:
        return Provenance.model_validate(read_json(path))
    except ValidationError as error:
        raise CheckpointError(
            f"{MERGE_FILE} is malformed, or of another version.",
            [f"{path}", *explained(error)],
            "verify with the version of rvec-merge that wrote it.",
        ) from None


def _input(found: Input, *, hash_files: bool) -> InputRecord:
    assert found.weights is not None
    seen = describe(found.reference, found.weights, hash_files=hash_files)
    files = {name: InputFile(**file.model_dump()) for name, file in seen.files.items()}
    return InputRecord(
        reference=seen.reference, revision=seen.revision, license=seen.license, files=files
    )
