"""Share a recipe, a vector, a merge or results: checked first, then one atomic commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.hub.card import Origin, origin_of, stated_license, write_card
from rvec_merge.hub.errors import HubError, explained
from rvec_merge.hub.layout import CARD, KINDS, RECIPE, RESULTS, Kind, KindName, plain_files
from rvec_merge.hub.references import parse_reference
from rvec_merge.hub.secrets import find_secrets, scan_file
from rvec_merge.hub.snapshot import TIMEOUT, client


@dataclass(frozen=True)
class Upload:
    """What a push would put on the Hub.

    Attributes:
        files: by path in the repo: a file's path, or text that is made for the repo.
        left_out: files of the folder that such a repo does not hold.
        local: inputs that provenance names by a path of this machine.
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
    repo_id = parse_reference(repo_id).repo_id
    if kind.name == "recipe":
        files, origin, recipe = _recipe_files(path, results)
        left_out: list[str] = []
        local: list[str] = []
    else:
        recipe = None
        names = plain_files(path) if path.is_dir() else []
        if kind.mark not in names:
            raise HubError(
                "The folder does not say where its content came from.",
                [f"{path}", f"there is no {kind.mark}"],
                f"name {_MAKER[kind.name]}.",
            )
        files = {name: path / name for name in kind.known(names)}
        left_out = sorted(set(names) - files.keys())
        origin, local = _origin(kind, path)
        _verify(kind, path)
    license = license or (stated_license(path) if path.is_dir() else None)
    if not license:
        raise _no_license(origin)
    files[CARD] = write_card(kind, repo_id, license, origin, results or path, recipe)
    upload = Upload(repo_id, kind, dict(sorted(files.items())), tuple(left_out), tuple(local))
    _check_sizes(upload)
    _refuse_secrets(upload)
    return upload


def push(
    upload: Upload, *, private: bool = False, revision: str | None = None, as_pr: bool = False
) -> str:
    """Create the repo if there is none, and upload in one commit; returns its URL.

    Files of an earlier push that this one does not have are deleted in the same commit. Before
    the commit nothing is visible; a rerun does not send again what has arrived.

    Raises:
        HubError: the Hub refuses, or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = client()
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, str(c) if isinstance(c, Path) else c.encode())
        for name, c in upload.files.items()
    ]
    with explained(upload.repo_id):
        # A repo that exists keeps its visibility; None leaves the account's default.
        api.create_repo(upload.repo_id, private=private or None, exist_ok=True)
        if revision is not None and not as_pr:
            api.create_branch(upload.repo_id, branch=revision, exist_ok=True)
        info = api.model_info(upload.repo_id, revision=revision, timeout=TIMEOUT)
        present = upload.kind.known(s.rfilename for s in info.siblings or [])
        stale = [name for name in present if name not in upload.files]
        operations += [CommitOperationDelete(name) for name in stale]
        done = api.create_commit(
            upload.repo_id,
            operations,
            commit_message=f"rvec push {upload.kind.name}",
            revision=revision,
            create_pr=as_pr,
        )
    return str(done.pr_url if as_pr else done.commit_url)


def _recipe_files(path: Path, results: Path | None) -> tuple[dict[str, Path | str], Origin, str]:
    from rvec_merge.hub.recipes import named_models, pin
    from rvec_merge.recipe import read_recipe

    recipe = pin(read_recipe(path), strict=True)
    files: dict[str, Path | str] = {RECIPE: recipe.text}
    if results is not None:
        _results_head(results)
        kind = KINDS["recipe"]
        inside = {f"{RESULTS}/{name}": results / name for name in plain_files(results)}
        files |= {name: inside[name] for name in kind.known(inside)}
    target = str(recipe.config.base_model)
    names = sorted(named_models(recipe), key=lambda name: name != target)  # the target first
    return files, origin_of([(name, None, _license_on_hub(name)) for name in names]), recipe.text


def _license_on_hub(name: str) -> str | None:
    reference = parse_reference(name)
    with explained(name):
        info = client().model_info(reference.repo_id, revision=reference.revision, timeout=TIMEOUT)
    license = info.card_data.get("license") if info.card_data is not None else None
    return license if isinstance(license, str) else None


def _origin(kind: Kind, path: Path) -> tuple[Origin, list[str]]:
    """Where the content came from, and inputs that were folders of this machine."""
    names: list[tuple[str, str | None, str | None]] = []
    if kind.name == "vector":
        from rvec_merge.vector.format import read_head

        donors = read_head(path).donors.values()
        names = [(d.reference, d.revision, d.license) for d in donors]
    elif kind.name == "merge":
        from rvec_merge.engine.provenance import read_provenance

        names = [(i.reference, i.revision, i.license) for i in read_provenance(path).inputs]
    else:
        _results_head(path)
    origin = origin_of(names)
    shared = {model.repo_id for model in origin.models}
    local = [name for name, _, _ in names if name.partition("@")[0] not in shared]
    # A folder's licence counts for the suggestion, under the folder's own name.
    licenses = {name: license for name, _, license in names}
    return Origin(origin.models, {**licenses, **origin.licenses}), local


def _results_head(path: Path) -> None:
    from rvec_merge.evaluation.store import Store

    Store(path).head()


def _verify(kind: Kind, path: Path) -> None:
    if kind.name == "vector":
        from rvec_merge.vector.read import CompactVector

        CompactVector.open(path).verify()
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


def _no_license(origin: Origin) -> HubError:
    facts = [f"{name} states {license or 'none'}" for name, license in origin.licenses.items()]
    stated = set(filter(None, origin.licenses.values()))
    wish = f"--license {stated.pop()}" if len(stated) == 1 else "--license NAME"
    return HubError(
        "What is shared has no licence.",
        facts,
        f"choose one that its origins allow: {wish}.",
    )


def _check_sizes(upload: Upload) -> None:
    for name in upload.files:
        most = upload.kind.limit(name)
        assert most is not None
        if upload.size(name) > most:
            raise HubError(
                "A file is larger than such a file can be; nobody could pull it.",
                [f"{name}: {upload.size(name):,} bytes of {most:,}"],
                "make it smaller.",
            )


def _refuse_secrets(upload: Upload) -> None:
    from huggingface_hub import get_token

    own, facts = get_token(), []
    for name, content in upload.files.items():
        if isinstance(content, Path):
            facts += [f"{name}, {found}" for found in scan_file(content, own)]
        else:
            facts += [f"{name}, line {line}: {kind}" for line, kind in find_secrets(content, own)]
    if facts:
        raise HubError(
            "Something looks like an access token.",
            [*facts[:8], *([f"and {len(facts) - 8} more"] if len(facts) > 8 else [])],
            "remove it, and revoke the token if it was real.",
        )


_MAKER: Mapping[str, str] = {
    "vector": "a folder that `rvec extract` wrote (format compact)",
    "merge": "a folder that `rvec merge` wrote",
    "results": "a folder that `rvec experiment -o` wrote",
}
