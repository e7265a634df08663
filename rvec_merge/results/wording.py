"""How numbers of a comparison read: points for 0/1 metrics, the metric's own units otherwise."""

from __future__ import annotations

from rvec_merge.stats.significance import Comparison, Mean


def donors(choice: str | bool) -> str:
    """How a plan's donors were prompted, as a sentence; empty where they were not evaluated."""
    if not choice:
        return ""
    if choice == "own_prompts":
        return (
            "Each donor was evaluated as its folder alone would be: with its own tokenizer, chat "
            "template, config and generation config."
        )
    return (
        "Donors were evaluated with the target's tokenizer, chat template, config and generation "
        "config."
    )


def level(mean: Mean, *, binary: bool) -> str:
    """``62.4 ± 1.3``: a mean (per cent for 0/1 outcomes) and its standard error."""
    if binary:
        return f"{100 * mean.mean:.1f} ± {100 * mean.standard_error:.1f}"
    return f"{mean.mean:.4g} ± {mean.standard_error:.2g}"


def change(difference: float, *, binary: bool) -> str:
    """``+2.1``: a difference, in points for 0/1 outcomes."""
    # Adding zero turns a negative zero into a positive one.
    text = f"{100 * difference + 0.0:+.1f}" if binary else f"{difference + 0.0:+.4g}"
    return text.replace("-", "−")


def interval(comparison: Comparison) -> str:
    """``+0.4 to +3.9``."""
    low, high = (change(end, binary=comparison.binary) for end in (comparison.low, comparison.high))
    return f"{low} to {high}"


def percent(share: float) -> str:
    """``12 %``; never ``−0 %``."""
    return f"{round(100 * share)} %".replace("-", "−")


def size(effect: float | None, *, binary: bool) -> str:
    """``3.4``: an effect without a direction; ``none`` where no size could be found."""
    if effect is None:
        return "none"
    return f"{100 * effect:.1f}" if binary else f"{effect:.3g}"


def p_value(p: float) -> str:
    """``0.012``; ``<0.001`` below that."""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def p_phrase(p: float) -> str:
    """``p = 0.012`` or ``p < 0.001``."""
    text = p_value(p)
    return f"p < {text[1:]}" if text.startswith("<") else f"p = {text}"
