"""The tables of ``demo/README.md``, from the figures in ``results.json``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Results = dict[str, Any]


def replace_block(page: str, text: str) -> str:
    """Put ``text`` between the markers of ``page``."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"The page lacks its markers {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    align = ["---"] + ["---:"] * (len(heads) - 1)
    lines = [heads, align, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}".replace("-", "−")


def _points(value: float, error: float) -> str:
    return f"{100 * value:+.1f} ± {100 * error:.1f}".replace("-", "−")


def _label(name: str) -> str:
    return name.replace("-", "−") if name.startswith("target") else name


def main_table(results: Results, random_seeds: range, permuted_seeds: range, scale: float) -> str:
    """Every condition but the scale curve, with its paired difference from the target."""
    names = [
        "target", "target, think", "sft", "sft, think", "grpo", "grpo, think",
        f"target {scale:+g} v", f"target {scale:+g} v, think", "target +1 v", "target -1 v",
        *(f"target +1 random {seed}" for seed in random_seeds),
        *(f"target +1 permuted {seed}" for seed in permuted_seeds),
        f"target {scale:+g} other v", "target +1 other v",
        f"target {scale:+g} v, bf16", "target +1 v, bf16", "target -1 v, bf16",
        "target, forced", f"target {scale:+g} v, forced", "target +1 v, forced",
        "sft, forced", "grpo, forced",
    ]  # fmt: skip
    rows = []
    for name in names:
        row = results["conditions"][name]
        gap = "" if name == "target" else _points(row["difference"], row["difference_error"])
        accuracy = f"{_percent(row['accuracy'])} ± {_percent(row['standard_error'])}"
        rows.append([_label(name), accuracy, gap, _percent(row["parsable"]), f"{row['steps']:.2f}"])
    heads = ["condition", "accuracy %", "minus target", "parsable %", "steps written"]
    return f"Word problems, {results['items']} test items.\n\n" + _table(heads, rows)


def scale_table(results: Results, scales: tuple[float, ...]) -> str:
    """Accuracy along the scale, with the target itself at 0."""
    points = {s: results["conditions"][f"target {s:+g} v"] for s in scales}
    points[0.0] = results["conditions"]["target"]
    rows = [
        [
            f"{s:g}".replace("-", "−"),
            f"{_percent(p['accuracy'])} ± {_percent(p['standard_error'])}",
            f"{p['steps']:.2f}",
        ]
        for s, p in sorted(points.items())
    ]
    return "The scale curve.\n\n" + _table(["scale", "accuracy %", "steps written"], rows)


def family_table(results: Results, kinds: tuple[str, ...], scale: float) -> str:
    names = ["target", "target, think", "sft", "grpo", f"target {scale:+g} v", "target, forced"]
    return "By family, accuracy in %.\n\n" + _by_kind(results, names, kinds)


def side_table(results: Results, kinds: tuple[str, ...], scale: float) -> str:
    names = ["target", f"target {scale:+g} v", "target +1 v", "target -1 v"]
    title = f"Side tasks, {results['items']} test items, accuracy in %."
    return f"{title}\n\n" + _by_kind(results, names, kinds)


def vector_line(vector: dict[str, float]) -> str:
    norm, dense = (f"{100 * vector[key]:.1f} %" for key in ("relative_norm", "nonzero"))
    return f"‖v‖ is {norm} of the target's norm; {dense} of v's elements are not zero."


def _by_kind(results: Results, names: list[str], kinds: tuple[str, ...]) -> str:
    rows = []
    for name in names:
        row = results["conditions"][name]
        by_kind = [_percent(row["by_kind"][kind]) for kind in kinds]
        rows.append([_label(name), *by_kind, _percent(row["accuracy"])])
    return _table(["condition", *kinds, "all"], rows)
