"""The head of a compact vector: ``rvec_vector.json``, described in ``docs/vector-format.md``."""

from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from rvec_merge.arithmetic.dtypes import FLOAT32, FLOAT64
from rvec_merge.checkpoint.model_config import read_json
from rvec_merge.errors import CheckpointError
from rvec_merge.files.explained import explained
from rvec_merge.files.marks import VECTOR_FILE

FORMAT: Literal["rvec-compact"] = "rvec-compact"
VERSION: Literal[2] = 2
KNOWN = (1, 2)
STEM = "vector"
METADATA = {"format": FORMAT, "version": str(VERSION)}  # of every safetensors file
DType = Literal["F32", "F64"]
DTYPES: dict[DType, np.dtype[Any]] = {"F32": FLOAT32, "F64": FLOAT64}
FETCH_AGAIN = "fetch the vector again, or extract it again from its donors."
_MOST = 1 << 62  # elements, or bytes


def _countable(shape: list[int]) -> list[int]:
    if prod(shape) >= _MOST:
        raise ValueError("more elements than can be counted")
    return shape


Count = Annotated[int, Field(ge=0, lt=_MOST)]
# As many dimensions as torch allows: the product of more takes long to compute.
Shape = Annotated[list[Count], Field(max_length=64), AfterValidator(_countable)]
Norm = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
DonorRole = Literal["grpo", "sft"]
FileName = Annotated[str, Field(pattern=r"^vector(-\d{5}-of-\d{5})?\.safetensors$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DonorFile(_Strict):
    """One weight file of a donor; the hash is given where it was known without reading."""

    bytes: Count
    sha256: Sha256 | None = None


class DonorRecord(_Strict):
    """Where one side of the difference came from."""

    reference: str
    revision: str | None = None
    license: str | None = None
    dtypes: list[str]
    files: dict[str, DonorFile]


class TensorRecord(_Strict):
    """One delta: where its payload is, and what was measured while it was extracted.

    Attributes:
        file: the safetensors file that holds the payload, under the tensor's own name.
        shape: the delta's shape.
        dtype: of the delta's exact values: F32, or F64 where a donor is float64.
        nonzero: elements whose bits are not those of +0.0.
        inexact: elements that bfloat16 does not hold exactly.
        one_ulp: elements one representable step from the sft weight; None unless both donors
            are of one 16-bit dtype.
        norm: 2-norm of the delta.
        sft_norm: 2-norm of the sft weight; None where only the difference was at hand.
        largest: the largest magnitude.
        sha256: of the table that ends the payload, which holds each block's; in version 1, of the
            payload.
    """

    file: FileName
    shape: Shape
    dtype: DType
    nonzero: Count
    inexact: Count
    one_ulp: Count | None
    norm: Norm
    sft_norm: Norm | None
    largest: Norm
    sha256: Sha256

    @property
    def numel(self) -> int:
        """Elements of the delta."""
        return prod(self.shape)


class Totals(_Strict):
    """Sums over all tensors."""

    tensors: Count
    elements: Count
    nonzero: Count
    inexact: Count
    norm: Norm


class Head(_Strict):
    """All of ``rvec_vector.json``."""

    format: Literal["rvec-compact"]
    version: Literal[1, 2]
    created_by: str
    architecture: str | None
    donors: dict[DonorRole, DonorRecord]
    totals: Totals
    tensors: dict[str, TensorRecord]


def read_head(root: Path) -> Head:
    """Read and check the head of a compact vector.

    Raises:
        CheckpointError: it is missing, of another version, or malformed.
    """
    path = root / VECTOR_FILE
    data = read_json(path)
    _check_version(data, path)
    try:
        head = Head.model_validate(data)
    except ValidationError as error:
        raise CheckpointError(
            f"{VECTOR_FILE} is malformed.", [f"{path}", *explained(error)], FETCH_AGAIN
        ) from None
    return head


def _check_version(data: dict[str, Any], path: Path) -> None:
    if data.get("format") != FORMAT:
        raise CheckpointError(
            f"{VECTOR_FILE} is not the head of a compact vector.",
            [f"{path}", f"format: {data.get('format')!r}"],
            FETCH_AGAIN,
        )
    if data.get("version") not in KNOWN:
        raise CheckpointError(
            "This vector file has a version that this rvec does not know.",
            [f"{path}", f"version {data.get('version')!r}; known: {', '.join(map(str, KNOWN))}"],
            "upgrade rvec-merge (pip install -U rvec-merge).",
        )
