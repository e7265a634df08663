"""Bring a repo we know how to read from the Hub: known files alone, checked before use."""

import shutil
from dataclasses import replace
from pathlib import Path

from rvec_merge.checkpoint.header import Checkpoint
from rvec_merge.checkpoint.weight_files import refuse_second_set
from rvec_merge.errors import OutputError
from rvec_merge.files.atomic import check_output, check_space, new_folder
from rvec_merge.files.names import below
from rvec_merge.hub.content import Content, fetch_content
from rvec_merge.hub.layout import RESULTS
from rvec_merge.hub.recipes import recipe_of
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.vectors import checked_vector
from rvec_merge.merge.provenance import read_provenance


def pull(reference: HubReference, out: Path) -> Content:
    """Copy a repo's known files to the new folder ``out``; all or nothing.

    Raises:
        HubError: see ``fetch_content``.
        RvecError: the content is not what it should be.
        OutputError: ``out`` exists or cannot be written.
    """
    if out.exists():  # pull replaces nothing
        raise OutputError("The output exists.", [f"{out}"], "name a new folder: -o FOLDER.")
    check_output(out)
    content = fetch_content(reference)
    _check(content)
    check_space(out, sum((content.folder / name).stat().st_size for name in content.names))
    with new_folder(out) as folder:
        for name in content.names:
            path = below(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(content.folder / name, path)
    return replace(content, folder=out)


def check_results(folder: Path) -> None:
    """Refuse results that are of an unfinished experiment, or damaged.

    Raises:
        ResultsError: they are.
    """
    from rvec_merge.experiment.store import Store
    from rvec_merge.results.read import read_summary

    store = Store(folder)
    store.head()
    read_summary(store)


def _check(content: Content) -> None:
    """Hold the content to its schema; weights are compared with their hashes."""
    if content.kind.name == "recipe":
        recipe_of(content)
        if any(name.startswith(f"{RESULTS}/") for name in content.names):
            check_results(content.folder / RESULTS)
    elif content.kind.name == "results":
        check_results(content.folder)
    elif content.kind.name == "vector":
        checked_vector(content.folder, content.names, content.where)
    elif content.kind.name == "merge":
        read_provenance(content.folder)
        files = Checkpoint.open(content.folder).files
        refuse_second_set(content.where, content.names, files)
    content.check_json()
