"""Print the tables of docs/statistics.md, or put them there.

python tools/simulate_verdict.py                  # print all (minutes)
python tools/simulate_verdict.py --only power     # print one: power, coverage, edges, samples, …
python tools/simulate_verdict.py --write          # rewrite them in docs/statistics.md
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rvec_merge.results import wording
from rvec_merge.stats.power import detectable_share
from rvec_merge.stats.significance import ALPHA, Outcomes, paired
from rvec_merge.stats.verdict import Finding
from tools.simulate import Rates, World, coverage, verdict_rates

DOCS = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"
EXPERIMENTS = 1000
ITEMS = (30, 164, 500, 1319, 6511)
FLIPS = (0.05, 0.10, 0.20, 0.40)
FAMILY = 8


def power_table() -> str:
    rows = []
    for family in (1, FAMILY):
        for n in ITEMS:
            cells = [
                wording.size(
                    detectable_share(n, round(share * n), alpha=ALPHA / family), binary=True
                )
                for share in FLIPS
            ]
            rows.append([str(family), str(n), *cells])
    return _table(["questions", "items", *(f"{wording.percent(s)} differ" for s in FLIPS)], rows)


def coverage_table() -> str:
    rows = []
    for n in ITEMS[:-1]:
        cells = [
            f"{100 * coverage(World(gain=gain, flips=share), n, EXPERIMENTS):.1f} %"
            for share in FLIPS
            for gain in (0.0, 0.05)
        ]
        rows.append([str(n), *cells])
    heads = [
        f"{wording.percent(s)} differ, {wording.change(g, binary=True)}"
        for s in FLIPS
        for g in (0.0, 0.05)
    ]
    return _table(["items", *heads], rows)


EDGES = ((0.02, 0.0), (0.02, 0.02), (0.98, 0.0), (0.98, 0.01))


def edges_table() -> str:
    rows = []
    for n in ITEMS[:-1]:
        worlds = [World(accuracy=accuracy, gain=gain, flips=0.2) for accuracy, gain in EDGES]
        rows.append([str(n), *(f"{100 * coverage(w, n, EXPERIMENTS):.1f} %" for w in worlds)])
    heads = [
        f"baseline {wording.percent(a)}, {wording.change(gain, binary=True)}" for a, gain in EDGES
    ]
    return _table(["items", *heads], rows)


SAMPLES = (1, 4, 16)
SAMPLED_ITEMS = (30, 164, 500)
GAINED = 0.1  # of what an item's chance lacks to 1


def samples_table() -> str:
    """Items differ in their chances, and each output is right with its item's."""
    rows = []
    for n in SAMPLED_ITEMS:
        cells = []
        for k in SAMPLES:
            level, held, found = sampled(n, k)
            cells += [f"{100 * share:.1f} %" for share in (level, held, found)]
        rows.append([str(n), *cells])
    heads = [f"{k}: {what}" for k in SAMPLES for what in ("p < 0.05", "coverage", "found")]
    return _table(["items", *heads], rows)


def sampled(n: int, k: int, experiments: int = 1000) -> tuple[float, float, float]:
    """Shares: p below 0.05 without an effect; intervals that hold a true one; p below 0.05 then."""
    random = np.random.default_rng(n * 100 + k)
    effect = GAINED * (1 - 0.4)  # chances are 0.4 on average
    rejected, held, found = 0, 0, 0
    for _ in range(experiments):
        chances = random.beta(0.8, 1.2, n)
        before, same, gained = (
            Outcomes(np.arange(n), random.binomial(k, c) / k, samples=k)
            for c in (chances, chances, chances + GAINED * (1 - chances))
        )
        rejected += paired(before, same, resamples=1000).p < ALPHA
        compared = paired(before, gained, resamples=1000)
        held += compared.low <= effect <= compared.high
        found += compared.p < ALPHA
    return rejected / experiments, held / experiments, found / experiments


DRAWS = range(3, 13)
SPREADS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06)


def drawn(draws: int, permuted: int, spread: float, gain: float | None) -> World:
    """One task of the size of GSM8K."""
    return World((1319,), gain=gain, draw_spread=spread, draws=draws, permuted=permuted)


def draws_table() -> str:
    rows = []
    for draws, permuted in (*((k, 0) for k in DRAWS), (6, 2)):
        worlds = [drawn(draws, permuted, spread, None) for spread in SPREADS]
        worlds.append(drawn(draws, permuted, 0.01, 0.05))
        shares = [f"{100 * verdict_rates(w, EXPERIMENTS).any_helps:.1f} %" for w in worlds]
        rows.append([f"{draws} and {permuted}" if permuted else str(draws), *shares])
    heads = [f"spread {100 * spread:g}" for spread in SPREADS]
    return _table(["draws", *heads, "**true gain of 5**, spread 1"], rows)


# Every world has draws enough, and none a token budget.
_UNSEEN = {Finding.UNCONTROLLED, Finding.UNDECIDED}
SHOWN = [finding for finding in Finding if finding not in _UNSEEN]
ERRORS = {
    "nothing moves": World(),
    "three controls gain 5 points, as the vector does": World(
        gain=0.05, control_gain=0.05, draws=3, permuted=0
    ),
    "six random and two permuted controls gain 5 points, as the vector does": World(
        gain=0.05, control_gain=0.05
    ),
    "the vector is one more draw; draws differ by 1 point": World(gain=None, draw_spread=0.01),
    "the same, by 2 points": World(gain=None, draw_spread=0.02),
    "the same, by 4 points": World(gain=None, draw_spread=0.04),
    "the same, by 2 points, three random draws alone": World(
        gain=None, draw_spread=0.02, draws=3, permuted=0
    ),
    "**true gain of 2 points**; draws differ by 1 point": World(gain=0.02, draw_spread=0.01),
    "**true gain of 4 points**": World(gain=0.04, draw_spread=0.01),
    "**true gain of 6 points**": World(gain=0.06, draw_spread=0.01),
    "**true gain of 10 points**": World(gain=0.10, draw_spread=0.01),
    "**true loss of 6 points**": World(gain=-0.06, draw_spread=0.01),
}


def errors_table() -> str:
    rows = [errors_row(label, verdict_rates(world, EXPERIMENTS)) for label, world in ERRORS.items()]
    return _table(["true state", "any *helps*", *(f"*{f.value}*" for f in SHOWN)], rows)


def errors_row(label: str, rates: Rates) -> list[str]:
    shares = (rates.any_helps, *(rates.verdicts[finding] for finding in SHOWN))
    return [label, *(f"{100 * share:.1f} %" for share in shares)]


TABLES: dict[str, Callable[[], str]] = {
    "power": power_table,
    "coverage": coverage_table,
    "edges": edges_table,
    "samples": samples_table,
    "draws": draws_table,
    "errors": errors_table,
}


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def between_marks(text: str, name: str) -> tuple[int, int]:
    """Where a generated table stands in the document."""
    opening = f"<!-- table: {name} -->\n"
    return text.index(opening) + len(opening), text.index(f"<!-- end: {name} -->")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TABLES)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    for name, make in TABLES.items():
        if chosen.only in (None, name):
            table = make()
            if chosen.write:
                text = DOCS.read_text(encoding="utf-8")
                start, end = between_marks(text, name)
                DOCS.write_text(text[:start] + table + "\n" + text[end:], encoding="utf-8")
            else:
                sys.stdout.write(f"{name}\n\n{table}\n\n")


if __name__ == "__main__":
    main()
