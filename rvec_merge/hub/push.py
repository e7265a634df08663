"""Share a recipe, a vector, a merge or results: checked first, then one atomic commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.hub.card import read_card, write_card
from rvec_merge.hub.errors import HubError, explained
from rvec_merge.hub.layout import CARD, KINDS, RECIPE, RESULTS, Kind, KindName, plain_files
from rvec_merge.hub.origin import (
    Origin,
    folder_sources,
    origin_of,
    recipe_sources,
    stated_license,
)
from rvec_merge.hub.pull import check_results
from rvec_merge.hub.repo import destination, repo_for_push, through_xet
from rvec_merge.hub.secrets import refuse_secrets
from rvec_merge.hub.snapshot import MOST_FILES, TIMEOUT, client
from rvec_merge.vector.provenance import EXTRACTION
from rvec_merge.weight_files import refuse_second_set


@dataclass(frozen=True)
class Upload:
    """What a push would put on the Hub.

    Attributes:
        files: by path in the repo: a file's path, or text that is made for the repo.
        left_out: files of the folder that such a repo does not hold.
        local: inputs that are no repo of the Hub; provenance names them by a path.
    """

    repo_id: str
    kind: Kind
    files: Mapping[str, Path | str]
    left_out: tuple[str, ...]
    local: tuple[str, ...]

    def size(self, name: str) -> int:
        """Bytes of one file."""
        content = self.files[name]
        return content.stat().st_size if isinstance(content, Path) else len(content.encode())


def prepare(
    kind_name: KindName,
    path: Path,
    repo_id: str,
    *,
    license: str | None = None,
    results: Path | None = None,
) -> Upload:
    """Check what is to be shared, and make its card; nothing is sent.

    Args:
        path: the recipe file, or the folder of a vector, merge or results.
        license: of what is shared; None takes that of the folder's own card.
        results: for a recipe, the folder that `rvec experiment` wrote.

    Raises:
        HubError: provenance or a licence is missing, a file is a link or larger than such a file
            can be, or something looks like a token.
        RvecError: the recipe is wrong, or the weights are not what provenance says.
    """
    kind = KINDS[kind_name]
    repo_id = destination(repo_id)
    if kind.name == "recipe":
        files, origin, recipe = _recipe_files(path, results)
        left_out: list[str] = []
    else:
        recipe = None
        names = plain_files(path) if path.is_dir() else []
        if kind.mark not in names:
            raise HubError(
                "The folder does not say where its content came from.",
                [f"{path}", f"there is no {kind.mark}", *_unchecked(names)],
                f"name {_MAKER[kind.name]}.",
            )
        files = {name: path / name for name in kind.known(names)}
        left_out = [name for name in names if name not in files and not name.startswith(".")]
        _verify(kind, path)
        origin = origin_of(folder_sources(kind.name, path))
    license = license or (stated_license(read_card(path)[0]) if path.is_dir() else None)
    if not license:
        raise _no_license(origin)
    files[CARD] = write_card(kind, repo_id, license, origin, results or path, recipe)
    upload = Upload(repo_id, kind, dict(sorted(files.items())), tuple(left_out), origin.local)
    _check_sizes(upload)
    refuse_secrets(upload.files)
    return upload


def push(
    upload: Upload, *, private: bool = False, revision: str | None = None, as_pr: bool = False
) -> str:
    """Create the repo if there is none, and upload in one commit; returns its URL.

    Files of an earlier push that this one does not have are deleted in the same commit. Before
    the commit nothing is visible; a rerun does not send again what has arrived.

    Args: see ``repo_for_push``.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api, repo_id = client(), upload.repo_id
    added = [
        CommitOperationAdd(name, str(c) if isinstance(c, Path) else c.encode())
        for name, c in upload.files.items()
    ]
    with (
        repo_for_push(api, repo_id, private=private, revision=revision, opens_pr=as_pr),
        explained(repo_id),
    ):
        info = api.model_info(repo_id, revision=revision, timeout=TIMEOUT)
        present = [s.rfilename for s in info.siblings or []]
        _refuse_mixture(upload, present)
        gone = [name for name in upload.kind.known(present) if name not in upload.files]
        with through_xet(repo_id):
            api.preupload_lfs_files(repo_id, added, revision=revision, create_pr=as_pr)
        done = api.create_commit(
            repo_id,
            [*added, *map(CommitOperationDelete, gone)],
            commit_message=f"rvec push {upload.kind.name}",
            revision=revision,
            create_pr=as_pr,
        )
    return str(done.pr_url if as_pr else done.commit_url)


def _refuse_mixture(upload: Upload, present: list[str]) -> None:
    """A repo of two kinds could not be pulled."""
    others = [kind for kind in KINDS.values() if kind.mark in present and kind != upload.kind]
    if others:
        raise HubError(
            f"The repo holds a {others[0].name} already; nothing was uploaded.",
            [upload.repo_id, f"it has {others[0].mark}"],
            "push to another repo.",
        )


def _recipe_files(path: Path, results: Path | None) -> tuple[dict[str, Path | str], Origin, str]:
    from rvec_merge.hub.recipes import check_inputs, pin
    from rvec_merge.recipe import read_recipe

    recipe = pin(read_recipe(path), strict=True)
    check_inputs(recipe)
    files: dict[str, Path | str] = {RECIPE: recipe.text}
    if results is not None:
        from rvec_merge.report.card_evidence import check_evidence

        check_evidence(results, recipe)
        kind = KINDS["recipe"]
        inside = {f"{RESULTS}/{name}": results / name for name in plain_files(results)}
        files |= {name: inside[name] for name in kind.known(inside)}
    return files, origin_of(recipe_sources(recipe)), recipe.text


def _verify(kind: Kind, path: Path) -> None:
    if kind.name == "results":
        check_results(path)
    elif kind.name == "vector":
        from rvec_merge.vector.read import CompactVector

        vector = CompactVector.open(path)
        vector.verify()
        refuse_second_set(path, plain_files(path), vector.files)
    elif kind.name == "merge":
        from rvec_merge.engine.verify import verify

        found = verify(path)
        if not found.holds:
            facts = [f"{name}: {count} elements differ" for name, count in found.differing.items()]
            facts += [f"{name}: missing" for name in found.missing]
            facts += [f"{name}: not in the recipe's plan" for name in found.extra]
            raise HubError(
                "The merge is not what its recipe gives.",
                [f"{path}", *facts[:8], *found.changed],
                "merge it again, and push that.",
            )


def _unchecked(names: list[str]) -> list[str]:
    """A dense vector and an adapter say what they were made from, and not what their bits are."""
    made = EXTRACTION in names
    return ["a dense vector or an adapter has no hashes to be held to"] if made else []


def _no_license(origin: Origin) -> HubError:
    facts = [f"{name} states {license or 'none'}" for name, license in origin.licenses.items()]
    wish = f"--license {origin.shared_license or 'NAME'}"
    return HubError(
        "What is shared has no licence.",
        facts,
        f"choose one that its origins allow: {wish}.",
    )


def _check_sizes(upload: Upload) -> None:
    if len(upload.files) >= MOST_FILES:
        raise HubError(
            "There are more files than a repo may have; nobody could pull it.",
            [f"{len(upload.files):,} files; {MOST_FILES:,} is too many"],
            "share it in parts.",
        )
    for name in upload.files:
        most = upload.kind.limit(name)
        assert most is not None
        if upload.size(name) > most:
            raise HubError(
                "A file is larger than such a file can be; nobody could pull it.",
                [f"{name}: {upload.size(name):,} bytes of {most:,}"],
                "make it smaller.",
            )


_MAKER: Mapping[str, str] = {
    "vector": "a folder that `rvec extract` wrote (format compact); others make a dense vector or "
    "an adapter of it",
    "merge": "a folder that `rvec merge` wrote",
    "results": "a folder that `rvec experiment -o` wrote",
}
