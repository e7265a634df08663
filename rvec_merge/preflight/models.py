"""A recipe's inputs, seen without reading weights: folder, config, tensors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rvec_merge.checkpoint.dequantized import Dequantized, dequantized
from rvec_merge.checkpoint.header import Checkpoint, TensorInfo, read_json
from rvec_merge.checkpoint.weight_files import first_files, is_index
from rvec_merge.errors import CheckpointError, Finding, Notice, RvecError
from rvec_merge.files.marks import VECTOR_FILE
from rvec_merge.plan.inputs import read_input
from rvec_merge.plan.local import adapter_here, cached_snapshot, is_path
from rvec_merge.recipe.config import METHOD, RecipeConfig, declared_donors
from rvec_merge.recipe.reference import Reference


@dataclass(frozen=True)
class Model:
    """One input, as far as it can be seen without reading weights.

    Attributes:
        reference: mergekit's reference to it.
        label: what errors call it: its role, and its pair where there are several.
        folder: where its small files (config, tokenizer, card) lie.
        tensors: every tensor by name, from the headers; None where they are not at hand.
        config: ``config.json``.
        compact: it is a compact vector file.
        pickled: its weights are pickled, and only mergekit can read them.
        first_files: see ``weight_files.first_files``.
        scaled: its weights are FP8 with scales, and stand here as the float32 that they mean.
    """

    reference: Reference
    label: str
    folder: Path
    tensors: Mapping[str, TensorInfo] | None = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)
    compact: bool = False
    pickled: bool = False
    first_files: tuple[str, ...] = ()
    scaled: bool = False

    @property
    def is_vector(self) -> bool:
        """It is a difference already, not a model."""
        return self.label.startswith("vector")

    @property
    def name(self) -> str:
        """Role and reference."""
        return f"{self.label} {self.reference}"


# Sees an input; None where it cannot without a download.
Resolver: TypeAlias = Callable[[Reference, str, bool], Model | None]


def see_local(reference: Reference, label: str, allow_pickle: bool = False) -> Model | None:
    """See an input that lies in a folder, or in the Hub's cache.

    Raises:
        CheckpointError: the folder does not exist or holds no readable checkpoint.
    """
    path = Path(reference.model.path)
    if path.is_dir():
        return _see(reference, label, path, allow_pickle)
    if is_path(reference.model.path):
        raise CheckpointError(
            "A model does not exist.",
            [],
            "correct the path; one that begins with . or / is never a Hub id.",
        )
    folder = cached_snapshot(reference)
    if folder is None:
        return None
    if not _has_weights(folder):  # some cached snapshots hold the config alone
        return Model(reference, label, folder, None, _config(folder))
    return _see(reference, label, folder, allow_pickle)


def labels(config: RecipeConfig) -> dict[Reference, str]:
    """What to call each input, the target first: its role, and its pair if there are several."""
    if config.merge_method != METHOD:
        target = {config.base_model: "target"} if config.base_model else {}
        rest = [m for m in config.referenced_models() if m not in target]
        named = {m: f"model {n}" for n, m in enumerate(sorted(rest, key=str), 1)}
        return {**target, **named}
    found: dict[Any, str] = {config.base_model: "target"}
    groups = [donors for _, donors in declared_donors(config)]
    several = len({(d.pair, d.role == "vector") for donors in groups for d in donors}) > 1
    for donor in (d for donors in groups for d in donors):
        role = donor.role or "donor"
        found.setdefault(donor.id, f"{role} of {donor.pair}" if several else role)
    for model in config.referenced_models():
        found.setdefault(model, "target")  # a slice's own base_model
    return found


def see_models(
    config: RecipeConfig, resolver: Resolver, allow_pickle: bool
) -> Iterator[Model | Finding]:
    """Every input of a recipe, or what keeps it from being seen."""
    unseen = []
    for reference, label in labels(config).items():
        try:
            model = resolver(reference, label, allow_pickle)
        except RvecError as error:
            facts = [f"{label}: {reference}", *error.facts]
            yield type(error)(error.headline, facts, error.fix)
            continue
        if model is None or model.tensors is None:
            unseen.append(f"{label}: {reference}")
        if model is not None:
            yield model
    if unseen:
        yield Notice(
            "Some inputs are not here yet, and were not checked.",
            tuple(unseen),
            "They are checked before the merge, once they are fetched.",
        )


def _see(reference: Reference, label: str, folder: Path, allow_pickle: bool) -> Model:
    if (folder / VECTOR_FILE).is_file():
        from rvec_merge.vector.read import CompactVector

        vector = CompactVector.open(folder)
        deltas = {name: _delta_info(vector, name) for name in vector.names}
        return Model(reference, label, folder, deltas, vector.config, compact=True)
    checkpoint = Checkpoint.open(folder, allow_pickle=allow_pickle)
    weights = dequantized(checkpoint)
    tensors = weights.tensors
    if reference.lora is not None:
        if not is_path(reference.lora.path) and adapter_here(reference.lora) is None:
            return Model(reference, label, folder, None, checkpoint.config)
        tensors = read_input(reference, folder, allow_pickle=allow_pickle).content.tensors
    return Model(
        reference,
        label,
        folder,
        tensors,
        checkpoint.config,
        pickled=checkpoint.pickled,
        scaled=isinstance(weights, Dequantized),
        first_files=checkpoint.first_files,
    )


def _delta_info(vector: Any, name: str) -> TensorInfo:
    """A packed tensor under the shape and dtype it unpacks to; the bytes are the packed ones."""
    tensor, payload = vector.source(name), vector.payloads[name]
    return TensorInfo(name, tensor.dtype, tensor.shape, payload.path, payload.start, payload.nbytes)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json(path) if path.is_file() else {}


def _has_weights(folder: Path) -> bool:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    firsts = first_files(names, _config(folder))
    if not firsts and VECTOR_FILE in names:
        return any(folder.glob("vector*.safetensors"))
    if not firsts or not is_index(firsts[0]):
        return bool(firsts)
    files = read_json(folder / firsts[0]).get("weight_map")
    if not isinstance(files, dict):
        return True  # `Checkpoint.open` says what is wrong with it
    return all(str(file) in names for file in files.values())
