"""Bring a repo we know how to read from the Hub: known files alone, checked before use."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.weight_files import refuse_second_set
from rvec_merge.files.atomic import check_output, check_space, new_folder
from rvec_merge.files.names import below
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.fetch import fetch_files
from rvec_merge.hub.layout import LISTS, RESULTS, Kind, KindName, kind_of
from rvec_merge.hub.limits import check_headers, read_object
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.remote import too_large
from rvec_merge.hub.snapshot import Snapshot, open_snapshot


@dataclass(frozen=True)
class Content:
    """What was fetched of a repo.

    Attributes:
        reference: the repo at the commit.
        kind: what it shares.
        folder: where its files lie.
        names: the files, relative to it.
        ignored: what else the repo holds; it was not fetched.
    """

    reference: HubReference
    kind: Kind
    folder: Path
    names: tuple[str, ...]
    ignored: tuple[str, ...]


def pull(reference: HubReference, out: Path) -> Content:
    """Copy a repo's known files to the new folder ``out``; all or nothing.

    Raises:
        HubError: the repo cannot be had, holds nothing we share, or a file is damaged or too
            large.
        RvecError: the content is not what it should be.
        OutputError: ``out`` exists or cannot be written.
    """
    check_output(out)
    content = fetch_content(reference)
    check_space(out, sum((content.folder / name).stat().st_size for name in content.names))
    with new_folder(out) as folder:
        for name in content.names:
            path = below(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(content.folder / name, path)
    return Content(content.reference, content.kind, out, content.names, content.ignored)


def fetch_content(
    reference: HubReference, wanted: KindName | None = None, *, mark_only: bool = False
) -> Content:
    """A repo's known files in the Hub's cache, checked; nothing else is fetched or read.

    Args:
        wanted: refuse another kind.
        mark_only: fetch the one file that makes it one of its kind.

    Raises:
        HubError, RvecError: see ``pull``.
    """
    snapshot = open_snapshot(reference)
    kind = kind_of(snapshot.files, f"hf://{reference}")
    _refuse_other(kind, wanted, reference)
    names = [kind.mark] if mark_only else kind.known(snapshot.files)
    _check_sizes(snapshot, kind, names)
    folder = fetch_files(snapshot, names)
    ignored = sorted(snapshot.files.keys() - set(names))
    content = Content(snapshot.reference, kind, folder, tuple(names), tuple(ignored))
    _check(content)
    return content


def _check_sizes(snapshot: Snapshot, kind: Kind, names: list[str]) -> None:
    for name in names:
        most = kind.limit(name)
        assert most is not None
        if snapshot.files[name].size > most:
            raise too_large(snapshot, name, most)


def _refuse_other(kind: Kind, wanted: KindName | None, reference: HubReference) -> None:
    if wanted is not None and kind.name != wanted:
        raise HubError(
            f"The repo holds a {kind.name}, not a {wanted}.",
            [f"hf://{reference}"],
            "name another repo.",
        )


def check_results(folder: Path) -> None:
    """Refuse results that are of an unfinished experiment, or damaged.

    Raises:
        ResultsError: they are.
    """
    from rvec_merge.experiment.store import Store
    from rvec_merge.results.report_files import read_summary

    store = Store(folder)
    store.head()
    read_summary(store)


def _check(content: Content) -> None:
    """Hold the content to its schema; weights are compared with their hashes."""
    folder, where = content.folder, f"hf://{content.reference}"
    check_headers((folder / n for n in content.names if n.endswith(".safetensors")), where)
    if content.kind.name == "recipe":
        from rvec_merge.hub.recipes import strangers_recipe

        strangers_recipe((folder / content.kind.mark).read_text("utf-8"), content.reference)
        if any(name.startswith(f"{RESULTS}/") for name in content.names):
            check_results(folder / RESULTS)
    elif content.kind.name == "results":
        check_results(folder)
    elif content.kind.name == "vector":
        from rvec_merge.vector.read import CompactVector

        vector = CompactVector.open(folder)
        vector.verify()
        refuse_second_set(where, content.names, vector.files)
    elif content.kind.name == "merge":
        from rvec_merge.merge.provenance import read_provenance

        read_provenance(folder)
        refuse_second_set(where, content.names, Checkpoint.open(folder).files)
    for name in content.names:
        if name.endswith(".json") and Path(name).name not in LISTS:
            read_object(folder / name, where)
