"""Bounds on what a stranger's headers and indices may make us hold in memory."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.header import HEADER_LIMIT, MOST_TENSORS
from rvec_merge.files.json_object import read_object
from rvec_merge.hub.errors import HubError

_FIX = "do not use this repo; tell its author."


def check_headers(files: Iterable[Path], where: object) -> None:
    """Refuse safetensors files whose headers are too large, before one is parsed.

    Raises:
        HubError: a header has more than ``HEADER_LIMIT``, or all of them more than
            ``MOST_TENSORS`` tensors.
    """
    tensors = 0
    for path in files:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > HEADER_LIMIT:
                raise HubError(
                    "A safetensors header is too large.",
                    [f"{where}", f"{path.name}: {size:,} bytes of {HEADER_LIMIT:,}"],
                    _FIX,
                )
            tensors += file.read(size).count(b'"data_offsets"')
        check_count(tensors, where)


def check_count(tensors: int, where: object) -> None:
    """Refuse more than ``MOST_TENSORS``.

    Raises:
        HubError: there are.
    """
    if tensors > MOST_TENSORS:
        raise HubError(
            "The repo holds too many tensors.",
            [f"{where}", f"more than {MOST_TENSORS:,}"],
            _FIX,
        )


def read_repo_json(path: Path, where: object) -> dict[str, Any]:
    """The JSON object in a file of a repo.

    Raises:
        HubError: it is none, or too large.
    """
    return read_object(path, HubError, _FIX, where=where)


def plain_index(value: Mapping[str, Any], files: Iterable[str], where: object) -> dict[str, str]:
    """The ``weight_map`` of an index, all of whose files the repo holds.

    Raises:
        HubError: it is malformed, too large, or names something else.
    """
    weight_map = value.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        raise HubError("The index has no weight_map.", [f"{where}"], _FIX)
    check_count(len(weight_map), where)
    stray = sorted(set(weight_map.values()) - {n for n in files if n.endswith(".safetensors")})
    if stray or any("/" in name for name in weight_map.values()):
        raise HubError(
            "The index names files that the repo does not hold beside it.",
            [f"{where}", *(repr(name) for name in stray[:5])],
            _FIX,
        )
    return weight_map
