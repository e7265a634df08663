"""The record of a merge: the same of the same merge, and nothing but what is known."""

from rvec_merge.files.hashes import file_sha256
from rvec_merge.merge.provenance import read_provenance
from tests.merge.conftest import run, text


def test_two_merges_write_the_same_provenance(tmp_path, models):
    for name in ("a", "b"):
        run(text(models), tmp_path / name / "out")
    files = [tmp_path / name / "out" / "rvec_merge.json" for name in ("a", "b")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_hash_is_recorded_where_it_is_asked_for_and_what_is_not_known_is_none(tmp_path, models):
    run(text(models), tmp_path / "plain")
    run(text(models), tmp_path / "hashed", hash_files=True)
    plain, hashed = (read_provenance(tmp_path / name) for name in ("plain", "hashed"))
    weights = models["target"] / "model.safetensors"
    record = hashed.inputs[0].files["model.safetensors"]
    assert (record.bytes, record.sha256) == (weights.stat().st_size, file_sha256(weights))
    assert plain.inputs[0].files["model.safetensors"].sha256 is None
    assert plain.inputs[0].revision is None
    assert plain.effect == hashed.effect
