"""What an experiment found, as data."""

from rvec_merge.results.read import Results


def test_checkpoints_are_recorded(results: Results) -> None:
    target, *donors = results.summary.inputs
    assert target.reference == "demo/family/target"
    assert {d.reference for d in donors} == {"demo/family/grpo", "demo/family/sft"}
    assert len({i.sha256 for i in results.summary.inputs}) == 3
