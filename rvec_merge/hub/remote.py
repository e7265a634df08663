"""See a model on the Hub without its weights: small files, and headers by range request."""

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.dequantized import dequantized
from rvec_merge.checkpoint.header import Checkpoint, TensorInfo, read_header, unknown_dtype
from rvec_merge.checkpoint.model_config import config_of
from rvec_merge.checkpoint.no_weights import no_weights
from rvec_merge.checkpoint.tensor import DTYPES
from rvec_merge.checkpoint.weight_files import (
    PICKLED,
    check_shard,
    first_files,
    is_index,
    pickled,
)
from rvec_merge.errors import CheckpointError
from rvec_merge.files.hashes import known_sha256
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.explained import explained
from rvec_merge.hub.fetch import fetch_files
from rvec_merge.hub.layout import SMALL_FILES, limit_of
from rvec_merge.hub.limits import check_count, check_headers, plain_index, read_repo_json
from rvec_merge.hub.references import HubReference, named_repo
from rvec_merge.hub.snapshot import Snapshot, cached_file, client, is_offline, open_snapshot
from rvec_merge.plan.inputs import Input
from rvec_merge.preflight import see_local
from rvec_merge.recipe.reference import Reference
from rvec_merge.vector.format import DTYPES as UNPACKED
from rvec_merge.vector.format import read_head

_BAD = "do not use this repo; its author should save it again."


def see(reference: Reference, label: str, allow_pickle: bool = False) -> Input | None:
    """See an input wherever it is: in a folder, in the Hub's cache, or on the Hub.

    Raises:
        CheckpointError, HubError: it cannot be found or read, or its files are not what they say.
    """
    hub = hub_reference(reference)
    if hub is None or is_offline():
        return see_local(reference, label, allow_pickle)
    return _see_remote(reference, hub, label, allow_pickle)


def hub_reference(reference: Reference) -> HubReference | None:
    """The repo that mergekit's reference names; None if it names a folder."""
    return None if Path(reference.model.path).exists() else named_repo(str(reference.model))


def _see_remote(reference: Reference, hub: HubReference, label: str, allow_pickle: bool) -> Input:
    snapshot = open_snapshot(hub)
    folder = fetch_files(snapshot, small_files(snapshot))
    config = config_of(folder)
    if VECTOR_FILE in snapshot.files:
        return Input(reference, folder, Checkpoint(folder, _compact(snapshot, folder), {}), label)
    if not weight_files(snapshot, folder):
        found = [name for name in PICKLED if name in snapshot.files]
        if not found:
            raise no_weights(folder, str(hub))
        if not allow_pickle:
            raise pickled(hub, found)
        return Input(reference, folder, None, label)
    headers = headers_of(snapshot, folder).values()
    tensors = {name: info for header in headers for name, info in header.items()}
    headers_alone = Checkpoint(folder, tensors, {}, first_files=first_files(snapshot.files, config))
    return Input(reference, folder, dequantized(headers_alone), label)


def small_files(snapshot: Snapshot) -> list[str]:
    """Everything that a merge wants of a model beside its weights.

    Raises:
        HubError: one is larger than such a file can be, or there is none.
    """
    names = []
    for name in snapshot.files:
        most = limit_of(SMALL_FILES, name)
        if most is None:
            continue
        if snapshot.files[name].size > most:
            raise too_large(snapshot, name, most)
        names.append(name)
    if not names:
        raise HubError(
            "The repo holds no model.",
            [f"{snapshot.reference}", f"{len(snapshot.files)} files, none that a model has"],
            "correct the name.",
        )
    return names


def weight_files(snapshot: Snapshot, folder: Path) -> dict[str, list[str]]:
    """The safetensors files of a model that transformers would load.

    Each with the names that the index gives it; none where there is no index.
    """
    firsts = first_files(snapshot.files, config_of(folder))
    if not firsts or firsts[0] in PICKLED:
        return {}
    if not is_index(first := firsts[0]):
        return {first: []}
    weight_map = plain_index(
        read_repo_json(folder / first, snapshot.reference), snapshot.files, snapshot.reference
    )
    files: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        files.setdefault(file, []).append(name)
    return dict(sorted(files.items()))


def headers_of(snapshot: Snapshot, folder: Path) -> dict[str, dict[str, TensorInfo]]:
    """The tensors of each weight file of a model on the Hub, from the files' headers alone.

    The paths name the files without being anywhere: nothing is fetched.

    Args:
        folder: where the model's small files lie.

    Raises:
        HubError: a header is malformed, or there is too much of it.
        CheckpointError: a header contradicts its file, or lacks what the index promises.
    """
    files = weight_files(snapshot, folder)
    found = _headers(snapshot, list(files))
    seen: set[str] = set()
    for file, header in found.items():
        check_shard(file, snapshot.reference, header, files[file], seen)
        seen |= header.keys()
    return found


def _headers(snapshot: Snapshot, files: list[str]) -> dict[str, dict[str, TensorInfo]]:
    """Each file's header. One after another, so that a hostile repo is left at its first excess.

    A file of the cache whose bytes were compared is read there; the others are not fetched for it.
    """
    from huggingface_hub.errors import SafetensorsParsingError

    found: dict[str, dict[str, TensorInfo]] = {}
    for file in files:
        cached = cached_file(snapshot.reference, file)
        stated = snapshot.files[file]
        if cached is not None and known_sha256(cached) == stated.sha256 is not None:
            check_headers([cached], snapshot.reference)
            found[file] = read_header(cached)[0]
            continue
        with explained(f"{snapshot.reference}: {file}"):
            try:
                header = client().parse_safetensors_file_metadata(
                    snapshot.reference.repo_id, file, revision=snapshot.commit
                )
            except RecursionError:
                raise SafetensorsParsingError("it is nested without end") from None
        check_count(len(header.tensors) + sum(map(len, found.values())), snapshot.reference)
        found[file] = {
            name: _info(snapshot, file, name, entry)
            for name, entry in sorted(header.tensors.items(), key=_offset)
        }
    return found


def _info(snapshot: Snapshot, file: str, name: str, entry: Any) -> TensorInfo:
    stated = snapshot.files[file]
    dtype = DTYPES.get(entry.dtype)
    if dtype is None:
        raise unknown_dtype(name, entry.dtype, f"{snapshot.reference}: {file}")
    shape = tuple(entry.shape)
    low, high = entry.data_offsets
    right = 0 <= low <= high <= stated.size and high - low == prod(shape) * dtype.itemsize
    if not right or any(size < 0 for size in shape):
        raise CheckpointError(
            f"{file} is not a readable safetensors file.",
            [f"{snapshot.reference}", f"{name}: bytes {low}-{high} do not fit shape {shape}"],
            _BAD,
        )
    path = Path(f"hf://{snapshot.reference}") / file  # it is not here
    return TensorInfo(name, dtype, shape, path, low, high - low, stated.sha256)


def _offset(item: tuple[str, Any]) -> int:
    return int(item[1].data_offsets[0])


def _compact(snapshot: Snapshot, folder: Path) -> dict[str, TensorInfo]:
    """A compact vector's tensors under the shapes they unpack to, as its head has them."""
    head = read_head(folder)
    check_count(len(head.tensors), snapshot.reference)
    files = sorted({record.file for record in head.tensors.values()})
    missing = [file for file in files if file not in snapshot.files]
    if missing:
        raise HubError("The vector lacks a file.", [f"{snapshot.reference}", *missing[:5]], _BAD)
    headers = _headers(snapshot, files)
    tensors = {}
    for name, record in head.tensors.items():
        payload = headers[record.file].get(name)
        if payload is None:
            raise CheckpointError(
                f"{record.file} lacks the payload of {name}.", [f"{snapshot.reference}"], _BAD
            )
        tensors[name] = replace(payload, dtype=UNPACKED[record.dtype], shape=tuple(record.shape))
    return tensors


def too_large(snapshot: Snapshot, name: str, most: int) -> HubError:
    """The error for a file that no such repo has in this size."""
    return HubError(
        "A file of the repo is larger than such a file can be.",
        [f"{snapshot.reference}", f"{name}: {snapshot.files[name].size:,} bytes of {most:,}"],
        "do not use this repo; tell its author.",
    )
