"""A repo of a kind we know: its known files alone, in the Hub's cache, bounded before use."""

from dataclasses import dataclass
from pathlib import Path

from rvec_merge.hub.errors import HubError
from rvec_merge.hub.fetch import fetch_files
from rvec_merge.hub.layout import LISTS, Kind, KindName, kind_of
from rvec_merge.hub.limits import check_headers, read_repo_json
from rvec_merge.hub.references import HubReference
from rvec_merge.hub.remote import too_large
from rvec_merge.hub.snapshot import open_snapshot


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

    @property
    def where(self) -> str:
        """What errors call it."""
        return f"hf://{self.reference}"

    def check_json(self) -> None:
        """Refuse JSON that is no object.

        Raises:
            HubError: a file is none.
        """
        for name in self.names:
            if name.endswith(".json") and Path(name).name not in LISTS:
                read_repo_json(self.folder / name, self.where)


def fetch_content(
    reference: HubReference, wanted: KindName | None = None, *, mark_only: bool = False
) -> Content:
    """A repo's known files in the Hub's cache; nothing else is fetched or read.

    Args:
        wanted: refuse another kind.
        mark_only: fetch the one file that makes it one of its kind.

    Raises:
        HubError: the repo cannot be had, holds nothing we share, or a file is damaged or too
            large.
    """
    snapshot = open_snapshot(reference)
    kind = kind_of(snapshot.files, f"hf://{reference}")
    if wanted is not None and kind.name != wanted:
        raise HubError(
            f"The repo holds a {kind.name}, not a {wanted}.",
            [f"hf://{reference}"],
            "name another repo.",
        )
    names = [kind.mark] if mark_only else kind.known(snapshot.files)
    for name in names:
        most = kind.limit(name)
        assert most is not None
        if snapshot.files[name].size > most:
            raise too_large(snapshot, name, most)
    folder = fetch_files(snapshot, names)
    ignored = sorted(snapshot.files.keys() - set(names))
    content = Content(snapshot.reference, kind, folder, tuple(names), tuple(ignored))
    headers = (folder / name for name in names if name.endswith(".safetensors"))
    check_headers(headers, content.where)
    return content
