"""How numbers of a comparison read."""

from pathlib import Path

from rvec_merge.stats.significance import paired
from rvec_merge.tasks.samples import read_run


def test_points_and_other_units_read_differently(paths) -> None:
    from rvec_merge.results import wording

    runs = [read_run(Path(paths[name])) for name in "ab"]
    before, after = (r.tasks["rv_generate"].filters["loose"].outcomes("exact_match") for r in runs)
    found = paired(before, after)
    assert wording.change(found.difference, binary=True) == "−29.2"
    assert wording.change(-29.1666, binary=False) == "−29.17"
    assert [wording.p_phrase(p) for p in (0.0004, 0.0123, 0.4)] == [
        "p < 0.001", "p = 0.012", "p = 0.40",
    ]  # fmt: skip
