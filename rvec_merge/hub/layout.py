"""What the repos we share hold: the file names of each kind, and how large each may be."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rvec_merge.files.marks import EXPERIMENT_FILE, MERGE_FILE, VECTOR_FILE
from rvec_merge.hub.errors import HubError

KindName = Literal["recipe", "vector", "merge", "results"]
RECIPE = "recipe.yaml"
TAGS = ("reasoning-vector", "mergekit")  # of every card
RESULTS = "results"  # the folder of a recipe repo that holds its results
LISTS = frozenset({"flips.json"})  # JSON that is no object
_M, _G, _T = 1 << 20, 1 << 30, 1 << 40

_CARD = {r"README\.md": _M}
_MODEL = {
    r"config\.json": _M,
    r"generation_config\.json": _M,
    r"tokenizer\.json": 64 * _M,
    r"(tokenizer|spiece|sentencepiece\.bpe)\.model": 64 * _M,
    r"vocab\.(json|txt)": 64 * _M,
    r"merges\.txt": 64 * _M,
    r"added_tokens\.json": 16 * _M,
    r"tokenizer_config\.json": 16 * _M,
    r"special_tokens_map\.json": _M,
    r"chat_template\.(jinja|json)": _M,
    r"(video_)?preprocessor_config\.json": _M,
    r"(processor_config|normalizer)\.json": _M,
}
_SUMMARY = {
    r"experiment\.json": 4 * _M,
    r"summary\.json": 64 * _M,
    r"summary\.md": 4 * _M,
    r"cells\.csv": 64 * _M,
    r"flips\.json": 64 * _M,
}
# What `rvec card` leaves beside a model: its figure, and the Hub's own form of results.
_EVIDENCE = {r"rvec_scale\.png": 4 * _M, r"\.eval_results/[\w.+-]+\.yaml": _M}
_CELLS = {
    r"cells/[0-9a-f]{8,64}/cell\.json": 4 * _M,
    r"cells/[0-9a-f]{8,64}/results_[\w.:()+-]+\.json": 64 * _M,
    r"cells/[0-9a-f]{8,64}/samples_[\w.:()+-]+\.jsonl\.gz": _G,
}
_INDEX = {r"model\.safetensors\.index\.json": 64 * _M}
_SHARD = r"(-\d{5}-of-\d{5})?\.safetensors"


@dataclass(frozen=True)
class Kind:
    """One kind of repo.

    Attributes:
        name: as the commands call it.
        mark: the file that every such repo has, and that says where its content came from.
        files: patterns of the names it may hold, with the most bytes of each.
    """

    name: KindName
    mark: str
    files: Mapping[str, int]

    @property
    def tag(self) -> str:
        """What its cards say beside ``TAGS``; `rvec recipes --hub` looks for it."""
        return f"rvec-{self.name}"

    def limit(self, name: str) -> int | None:
        """The most bytes that a file may have; None if such a repo has no file of that name."""
        return limit_of(self.files, name)

    def known(self, names: Iterable[str]) -> list[str]:
        """Those of the names that such a repo has."""
        return sorted(name for name in names if self.limit(name) is not None)


KINDS: Mapping[KindName, Kind] = {
    "recipe": Kind(
        "recipe",
        RECIPE,
        {
            **_CARD,
            r"recipe\.yaml": _M,
            **{rf"{RESULTS}/{n}": most for n, most in {**_SUMMARY, **_CELLS}.items()},
        },
    ),
    "vector": Kind(
        "vector",
        VECTOR_FILE,
        {**_CARD, **_MODEL, **_INDEX, r"rvec_vector\.json": 64 * _M, rf"vector{_SHARD}": _T},
    ),
    "merge": Kind(
        "merge",
        MERGE_FILE,
        {
            **_CARD,
            **_EVIDENCE,
            **_MODEL,
            r"rvec_merge\.json": 16 * _M,
            r"mergekit_config\.yml": _M,
            **_INDEX,
            rf"model{_SHARD}": _T,
        },
    ),
    "results": Kind("results", EXPERIMENT_FILE, {**_CARD, **_SUMMARY, **_CELLS}),
}
# What any model has beside its weights; other names of tokenizer files end in .json or .model.
SMALL_FILES: Mapping[str, int] = {
    **_CARD,
    **_MODEL,
    r"[\w.-]+\.(json|model)": 64 * _M,
}


def limit_of(patterns: Mapping[str, int], name: str) -> int | None:
    """The most bytes that a file may have, by patterns of names; None if none fits."""
    return next((most for p, most in patterns.items() if re.fullmatch(p, name)), None)


def kind_of(names: Iterable[str], where: object) -> Kind:
    """The kind of repo or folder that holds these names.

    Raises:
        HubError: none, or more than one.
    """
    present = set(names)
    found = [kind for kind in KINDS.values() if kind.mark in present]
    if len(found) == 1:
        return found[0]
    marks = [f"{kind.name}: {kind.mark}" for kind in KINDS.values()]
    if not found:
        raise HubError(
            "The repo holds nothing that rvec shares.",
            [f"{where}", *marks],
            "name a repo that `rvec push` made; models are downloaded by `rvec merge` itself.",
        )
    raise HubError(
        "The repo mixes several things.",
        [f"{where}", *(kind.mark for kind in found)],
        "ask its author for one repo each.",
    )


def plain_files(folder: Path) -> list[str]:
    """The paths of all files below a folder, relative to it.

    Raises:
        HubError: one is a link, which would share what lies elsewhere.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise HubError(
                "The folder holds a link.", [f"{path}"], "put the file itself in its place."
            )
        if path.is_file():
            found.append(name)
    return found
