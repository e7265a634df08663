"""Donors on the Hub as a vector, read shard by shard: most of their bytes are never kept."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock, local
from typing import Any

from rvec_merge.arithmetic.kernel import Delta
from rvec_merge.checkpoint.header import Checkpoint, TensorInfo, read_header
from rvec_merge.checkpoint.tensor import StoredTensor
from rvec_merge.files.scratch import scratch
from rvec_merge.hub.errors import HubError
from rvec_merge.hub.fetch import damaged, difference, download, fetch_files, forget
from rvec_merge.hub.limits import check_headers
from rvec_merge.hub.references import HubReference, is_hub, named_repo, parse_reference
from rvec_merge.hub.remote import headers_of, small_files
from rvec_merge.hub.snapshot import cached_file, open_snapshot
from rvec_merge.vector.format import DonorFile, DonorRecord, DonorRole
from rvec_merge.vector.inputs import twins
from rvec_merge.vector.provenance import describe


@contextmanager
def streamed_donors(grpo: str, sft: str, out: Path) -> Iterator["StreamedPair"]:
    """Two donors on the Hub as a vector; their shards come and go in a folder next to ``out``.

    Disk: at most two shards of each donor: as many as there are threads that read. Shards that
        the Hub's cache has already are read there, and stay.

    Raises:
        HubError: a donor is a folder, or cannot be had.
        IncompatibleTensorsError: the headers do not let them be subtracted.
    """
    for name in (grpo, sft):
        if not is_hub(name) and named_repo(name) is None:
            raise HubError("Only donors on the Hub can be streamed.", [name], "leave --stream out.")
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch(out.parent, f".{out.name}.shards-") as work:
        yield StreamedPair(
            _Donor(parse_reference(grpo), work / "grpo"), _Donor(parse_reference(sft), work / "sft")
        )


class _Donor:
    """One donor: its headers, and those of its shards that are on disk and in use."""

    def __init__(self, reference: HubReference, work: Path) -> None:
        self.snapshot = open_snapshot(reference)
        self.root = fetch_files(self.snapshot, small_files(self.snapshot))
        headers = headers_of(self.snapshot, self.root)
        self.files = {name: file for file, header in headers.items() for name in header}
        self.order = {file: index for index, file in enumerate(headers)}
        infos = {name: info for header in headers.values() for name, info in header.items()}
        self.checkpoint = Checkpoint(self.root, infos, {})
        self._work = work
        self._lock = Lock()
        self._users: dict[str, int] = {}
        self._open: dict[str, Mapping[str, TensorInfo]] = {}

    def take(self, file: str) -> Mapping[str, TensorInfo]:
        """A shard's tensors, once it is on disk; it stays there until it is given back."""
        with self._lock:
            idle = [f for f, users in self._users.items() if not users and f != file]
            # One more may stay: the other thread is a block or two behind or ahead.
            for other in sorted(idle, key=self.order.__getitem__):
                if len(self._open.keys() - {file}) > 1:
                    (self._work / other).unlink(missing_ok=True)
                    del self._users[other], self._open[other]
            if file not in self._open:
                self._open[file] = read_header(self._fetched(file))[0]
            self._users[file] = self._users.get(file, 0) + 1
            return self._open[file]

    def give_back(self, file: str) -> None:
        """The calling thread is done with a shard."""
        with self._lock:
            self._users[file] -= 1

    def record(self) -> DonorRecord:
        """What provenance keeps; the hashes are the Hub's own, which each shard was held to."""
        stated = {file: self.snapshot.files[file] for file in self.order}
        dtypes = {f"{i.dtype}" for i in self.checkpoint.tensors.values()}
        small = describe(self.snapshot.reference, Checkpoint(self.root, {}, {}), hash_files=False)
        return DonorRecord(
            reference=str(self.snapshot.reference),
            revision=self.snapshot.commit,
            license=small.license,
            dtypes=sorted(dtypes),
            files={f: DonorFile(bytes=s.size, sha256=s.sha256) for f, s in stated.items()},
        )

    def _fetched(self, file: str) -> Path:
        reference, stated = self.snapshot.reference, self.snapshot.files[file]
        cached = cached_file(reference, file)
        if cached is not None:
            if difference(cached, stated) is None:
                return cached
            forget(cached)  # or the client would copy it
        path = download(self.snapshot, file, self._work)
        if (found := difference(path, stated)) is not None:
            forget(path)
            raise damaged([f"{reference}", f"{file}: {found}"])
        check_headers([path], reference)
        return path


class StreamedPair:
    """``grpo − sft`` of two donors on the Hub; see ``vector.inputs.Vector``."""

    def __init__(self, grpo: _Donor, sft: _Donor) -> None:
        self._places = twins(grpo.checkpoint, sft.checkpoint)
        self._donors = (grpo, sft)
        self._held = local()

    @property
    def label(self) -> str:
        return " − ".join(str(donor.snapshot.reference) for donor in self._donors)

    @property
    def roots(self) -> Sequence[Path]:
        return [donor.root for donor in self._donors]

    @property
    def config(self) -> Mapping[str, Any]:
        return self._donors[0].checkpoint.config

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shard pair by shard pair, so that each is fetched once where the donors' files agree."""
        names = sorted(self._donors[0].files, key=self._place)
        return {name: self._donors[0].checkpoint.tensors[name].shape for name in names}

    def delta(self, name: str) -> Delta:
        """One tensor's delta; the calling thread gives its earlier shards back."""
        for donor, file in getattr(self._held, "files", ()):
            donor.give_back(file)
        self._held.files = []
        grpo, sft = self._donors
        minus = self._places[name].read(lambda stored: self._stored(sft, stored))
        return Delta(self._stored(grpo, name), minus, 1.0)

    def _stored(self, donor: _Donor, name: str) -> StoredTensor:
        file = donor.files[name]
        self._held.files.append((donor, file))
        return StoredTensor(donor.take(file)[name])

    def donors(self, *, hash_files: bool) -> dict[DonorRole, DonorRecord]:
        grpo, sft = self._donors
        return {"grpo": grpo.record(), "sft": sft.record()}

    def _place(self, name: str) -> tuple[int, ...]:
        first = self._places[name].names[0]
        names = zip(self._donors, (name, first), strict=True)
        places = [donor.order[donor.files[stored]] for donor, stored in names]
        return (*places, self._donors[0].checkpoint.tensors[name].start)
