"""A perturbed set as files: the tested split perturbed, those for few-shots clean."""

import json
from pathlib import Path

from rvec_merge.tasks.local_data import digest, read_items, sample_data
from rvec_merge.tasks.realised_files import write_realised


def test_few_shots_are_clean_and_the_source_is_named_by_its_hash(tmp_path: Path) -> None:
    written = write_realised("rvec_gsm8k_typos", tmp_path / "out", limit=2)
    clean = sample_data() / "gsm8k"
    assert read_items(written.folder / "gsm8k/train.jsonl") == read_items(clean / "train.jsonl")
    tested = read_items(written.folder / "gsm8k/test.jsonl")
    assert [row["orig_id"] for row in tested] == [0, 1]
    assert written.metadata["source_sha256"] == digest(read_items(clean / "test.jsonl"))
    assert json.loads((written.folder / "perturbation.json").read_text()) == written.metadata
