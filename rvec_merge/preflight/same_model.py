"""The same checkpoint in two places of a recipe, however it is spelt."""

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from rvec_merge.checkpoint.header import TensorInfo
from rvec_merge.errors import Finding, Notice, RecipeError
from rvec_merge.files.hashes import known_sha256
from rvec_merge.files.marks import EXTRACTION_FILE
from rvec_merge.plan.inputs import Input
from rvec_merge.recipe.config import METHOD, RecipeConfig, declared_donors
from rvec_merge.recipe.reference import Reference

_SHA256 = re.compile(r"[0-9a-f]{64}")


def check(config: RecipeConfig, models: Mapping[Reference, Input]) -> Iterator[Finding]:
    """One checkpoint under two names, the target among the donors, a vector in a model's place."""
    if config.merge_method != METHOD:
        return
    told = set()
    for _, donors in declared_donors(config):
        entries: list[tuple[str, Any]] = [("target", config.base_model)]
        entries += [(str(donor.role), donor.id) for donor in donors]
        for index, (role, reference) in enumerate(entries):
            for earlier_role, earlier in entries[:index]:
                proof = same(earlier, reference, models)
                clash = (earlier_role, str(earlier), role, str(reference))
                if not proof or clash in told:
                    continue
                told.add(clash)
                if (earlier_role, role) == ("target", "sft"):
                    yield extrapolation(earlier, proof)
                else:
                    yield clash_error(earlier_role, earlier, role, reference, proof)
    for model in models.values():
        if not model.is_vector and (model.compact or (model.folder / EXTRACTION_FILE).is_file()):
            yield RecipeError(
                "A vector stands where a model belongs.",
                [f"{model.label}: {model.reference}"],
                "list it under models with role: vector, or name the model it was made from.",
            )


def extrapolation(target: Hashable, proof: str) -> Notice:
    """What it means that the target is the sft donor: legitimate, and to be meant."""
    return Notice(
        "The target is the sft donor: this extrapolates its own training.",
        (f"target: {target}", proof, "target + scale · (grpo − target)"),
        "Scale 1 gives the grpo donor, and more goes beyond it (ExPO, arXiv 2404.16792); name "
        "another target to carry the vector over.",
    )


def clash_error(
    earlier_role: str, earlier: Hashable, role: str, reference: Hashable, proof: str
) -> RecipeError:
    """The error for one checkpoint in two roles, with what its author probably wants."""
    facts = [f"{earlier_role}: {earlier}", f"{role}: {reference}", proof]
    if earlier_role != "target":
        return RecipeError(
            "One checkpoint is listed under two names.",
            facts,
            "name each donor once; a checkpoint minus itself is no vector.",
        )
    wish = "name the grpo and sft donors under models, and the receiving model under base_model"
    if role == "grpo":
        facts.append("the target has had this training already")
        wish = "give as base_model a model without it"
    return RecipeError(
        "The target is listed as a donor.",
        facts,
        f"a vector is the difference of two donors: {wish}.",
    )


def same(a: Any, b: Any, models: Mapping[Reference, Input]) -> str:
    """Why two references are one checkpoint; '' if nothing shows that they are."""
    if a == b:
        return f"both are {b}"
    if a.lora != b.lora:
        return ""
    if a not in models or b not in models:
        mine, theirs = (_hub_key(reference) for reference in (a, b))
        return f"both are {mine[0]} on the Hub" if mine == theirs else ""
    mine_at, theirs_at = models[a].folder.resolve(), models[b].folder.resolve()
    if mine_at == theirs_at:
        return f"both are {mine_at}"
    mine_files, theirs_files = _files(models[a]), _files(models[b])
    if mine_files and mine_files.keys() == theirs_files.keys():
        known = zip(mine_files.values(), theirs_files.values(), strict=True)
        if all(_same_file(x, y) for x, y in known):
            return "their weight files are identical"
    return ""


def _known_hash(file: TensorInfo) -> str | None:
    """A weight file's sha256 where the Hub lists it, or a download recorded it; nothing is read."""
    path = file.path
    if (found := file.sha256 or known_sha256(path)) is not None:
        return found
    note = path.parent / ".cache/huggingface/download" / f"{path.name}.metadata"
    if not note.is_file() or note.stat().st_mtime < path.stat().st_mtime - 1:
        return None
    lines = note.read_text("utf-8", "replace").splitlines()
    return lines[1] if len(lines) > 1 and _SHA256.fullmatch(lines[1]) else None


def _files(model: Input) -> dict[str, TensorInfo]:
    """One tensor of each weight file."""
    return {info.sha256 or info.path.name: info for info in model.tensors.values()}


def _same_file(a: TensorInfo, b: TensorInfo) -> bool:
    if a.path.exists() and b.path.exists() and a.path.samefile(b.path):
        return True
    known = _known_hash(a)
    return known is not None and known == _known_hash(b)


def _hub_key(reference: Any) -> tuple[str, str]:
    return reference.model.path.casefold(), reference.model.revision or "main"
