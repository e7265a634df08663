"""A recipe's content: mergekit's grammar as frozen data, without mergekit."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

from rvec_merge.errors import RecipeError
from rvec_merge.recipe.pairs import Donor
from rvec_merge.recipe.reference import Reference

METHOD = "reasoning_vector"
Model: TypeAlias = Annotated[Reference, PlainValidator(Reference.read), PlainSerializer(str)]
Scalar: TypeAlias = bool | int | float | str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Conditional(_Strict):
    """A value, or a gradient of values, for the tensors whose name contains ``filter``."""

    value: Scalar | list[Scalar]
    filter: str | None = None


Setting: TypeAlias = Conditional | list[Conditional] | Scalar | list[Scalar]
Settings: TypeAlias = dict[str, Setting]


class Entry(_Strict):
    """One model under ``models``, with the parameters of its own."""

    model: Model
    parameters: Settings | None = None


class Source(Entry):
    """One model of a slice, with the layers that it gives."""

    layer_range: tuple[int, int]


class Slice(_Strict):
    """Layers of the output, and the layers that they are made of."""

    sources: list[Source]
    base_model: Model | None = None
    residual_weight: float | None = None
    parameters: Settings | None = None


class Module(_Strict):
    """A part of the output that has models or slices of its own."""

    slices: list[Slice] | None = None
    models: list[Entry] | None = None
    parameters: Settings | None = None


class Tokenizer(_Strict):
    """Which tokenizer the output gets; whose tokens' rows are mergekit's business."""

    source: Literal["union", "base"] | Model = "union"
    tokens: dict[str, Any] | None = None
    pad_to_multiple_of: int | None = None


class RecipeConfig(_Strict):
    """A whole recipe; every key means what it means to mergekit."""

    modules: dict[str, Module] | None = None
    slices: list[Slice] | None = None
    models: list[Entry] | None = None
    merge_method: str
    base_model: Model | None = None
    dtype: str | None = None
    tokenizer_source: Literal["union", "base"] | Model | None = None
    tokenizer: Tokenizer | None = None
    chat_template: str | None = None
    out_dtype: str | None = None
    parameters: Settings | None = None

    @property
    def target(self) -> Reference:
        """The model that receives the vector; every recipe of our method names one."""
        assert self.base_model is not None
        return self.base_model

    def referenced_models(self) -> list[Reference]:
        """Every model that is read, once each, in the order in which the recipe names them."""
        found = [] if self.base_model is None else [self.base_model]
        found += [entry.model for _, _, entries in self.input_lists() for entry in entries]
        return list(dict.fromkeys(found))

    def input_lists(self) -> Iterator[tuple[str, Reference | None, list[Any]]]:
        """(name, target, inputs) of everything that lists inputs; '' is the recipe's own list."""
        blocks: list[tuple[str, Any]] = [("", self)]
        blocks += [(f"modules.{name}", module) for name, module in (self.modules or {}).items()]
        for where, block in blocks:
            if block.models:
                yield where, self.base_model, block.models
            for index, piece in enumerate(block.slices or []):
                label = f"{where}.slices[{index}]".lstrip(".")
                yield label, piece.base_model or self.base_model, piece.sources

    def parameter_blocks(self) -> Iterator[tuple[str, Settings, bool]]:
        """(name, parameters, whether they belong to one donor) wherever parameters are given."""
        blocks: list[tuple[str, Any, bool]] = [("parameters", self, False)]
        for name, module in (self.modules or {}).items():
            blocks.append((f"modules.{name}.parameters", module, False))
        pieces = [("slices", self.slices)]
        pieces += [(f"modules.{n}.slices", m.slices) for n, m in (self.modules or {}).items()]
        for name, slices in pieces:
            blocks += [
                (f"{name}[{index}].parameters", piece, False)
                for index, piece in enumerate(slices or [])
            ]
        blocks += [
            (f"{entry.model} parameters", entry, True)
            for _, _, entries in self.input_lists()
            for entry in entries
        ]
        for where, block, per_donor in blocks:
            yield where, block.parameters or {}, per_donor

    @property
    def is_sliced(self) -> bool:
        """Whether layers are put together from slices, in the recipe or in a module."""
        return bool(self.slices or any(m.slices for m in (self.modules or {}).values()))

    @property
    def rows_of_target(self) -> bool:
        """Whether donors' vocabularies may have other rows than the target's, which are kept."""
        asked = self.tokenizer_source
        if self.tokenizer is not None and not self.tokenizer.model_fields_set - {"source"}:
            asked = self.tokenizer.source
        return asked == "base"

    @property
    def asks_for_tokenizer(self) -> bool:
        """Whether a tokenizer is named from which mergekit aligns rows."""
        return self.tokenizer is not None or self.tokenizer_source is not None


def declared_donors(config: RecipeConfig) -> Iterator[tuple[str, list[Donor]]]:
    """Each slice's donors as declared, with the name errors give the slice ('' if there is one)."""
    for where, target, inputs in config.input_lists():
        donors = []
        for entry in inputs:
            given = entry.parameters or {}
            if entry.model == target and given.get("role") != "sft":
                _refuse_target_role(entry)
                continue
            weight = given.get("weight")
            donors.append(
                Donor(
                    entry.model,
                    given.get("role"),
                    str(given.get("pair", "default")),
                    # A filtered weight or a gradient has no one value; it is read per tensor.
                    weight if weight is None or isinstance(weight, int | float) else 1.0,
                )
            )
        yield where, donors


def _refuse_target_role(entry: Any) -> None:
    if entry.parameters:
        raise RecipeError(
            "The target is listed as a donor.",
            [f"{entry.model}: {dict(entry.parameters)}"],
            "a vector is the difference of two donors: name them under models, and the model "
            "that receives it under base_model alone.",
        )
