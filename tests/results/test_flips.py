"""Which items a condition changed."""

from rvec_merge.results.read import Results


def test_the_items_of_each_row_are_those_that_its_comparison_counts(results: Results) -> None:
    compared = {}
    for row, flips in results.records():
        if row.comparison is None:
            compared[row.cell] = flips
            assert flips.items is not None
            assert sum(map(len, flips.items.values())) == row.level.n
            continue
        moved = [
            {(t, i) for t, ids in side.items() for i in ids} for side in (flips.rose, flips.fell)
        ]
        assert [len(side) for side in moved] == [row.comparison.rose, row.comparison.fell]
        every = compared[row.cell.baseline].items
        assert moved[0] | moved[1] <= {(t, i) for t, ids in every.items() for i in ids}
        assert not moved[0] & moved[1]
