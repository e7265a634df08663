"""Where a donor came from, as far as its folder says without a weight being read."""

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from rvec_merge.checkpoint.card import read_metadata
from rvec_merge.checkpoint.weights import Weights
from rvec_merge.files.hashes import file_sha256, known_sha256
from rvec_merge.files.marks import EXTRACTION_FILE
from rvec_merge.vector.format import DonorFile, DonorRecord, DonorRole
from rvec_merge.vector.output import write_text
from rvec_merge.version import __version__

CREATED_BY = f"rvec-merge {__version__}"


def describe(reference: Hashable, checkpoint: Weights, *, hash_files: bool) -> DonorRecord:
    """A donor's reference, revision, licence, dtypes and files.

    Args:
        hash_files: compute the sha256 of files that were not compared with the Hub's.
    """
    files = sorted(checkpoint.paths)
    dtypes = {f"{info.dtype}" for info in checkpoint.tensors.values()}
    return DonorRecord(
        reference=str(reference),
        revision=revision_of(checkpoint.root),
        license=_license(checkpoint.root),
        dtypes=sorted(dtypes),
        files={
            path.name: DonorFile(
                bytes=path.stat().st_size,
                sha256=file_sha256(path) if hash_files else known_sha256(path),
            )
            for path in files
        },
    )


def record_extraction(
    folder: Path,
    kind: str,
    donors: Mapping[DonorRole, DonorRecord],
    facts: Mapping[str, Any],
) -> None:
    """Write ``rvec_extract.json``: what a dense vector or adapter was made of, and its loss."""
    record = {
        "format": kind,
        "version": 1,
        "created_by": CREATED_BY,
        "donors": {role: donor.model_dump() for role, donor in donors.items()},
        **facts,
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    write_text(folder / EXTRACTION_FILE, text + "\n")


def revision_of(root: Path) -> str | None:
    """The commit in ``.../snapshots/<commit>`` of the Hub's cache."""
    return root.name if root.parent.name == "snapshots" else None


def _license(root: Path) -> str | None:
    """``license`` of the model card's front matter."""
    license = read_metadata(root).get("license")
    return license if isinstance(license, str) else None
