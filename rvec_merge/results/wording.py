"""How numbers of a comparison read: points for 0/1 metrics, the metric's own units otherwise."""

from __future__ import annotations

from rvec_merge.experiment.plan import Plan, TaskPlan
from rvec_merge.stats.controls import FEWEST_DRAWS
from rvec_merge.stats.question import Beside, Way
from rvec_merge.stats.significance import ALPHA, Comparison, Mean
from rvec_merge.stats.verdict import Finding, Verdict

_CAVEATS: tuple[Beside, ...] = ("strict", "forced")
_GAINS = (Finding.HELPS, Finding.NOT_ABOVE, Finding.UNCONTROLLED)
_MORE = 4  # times the samples, or the items
_LITTLE = 0.25  # of a gain: the most that may be left where all of it is said to be gone


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


def generation(plan: Plan) -> str:
    """How outputs were generated, as sentences."""
    ways: dict[str, list[str]] = {}
    for task in plan.tasks:
        ways.setdefault(_generated(plan, task), []).append(task.task)
    said = [
        f"{way}." if len(ways) == 1 else f"{', '.join(tasks)}: {way[0].lower()}{way[1:]}."
        for way, tasks in ways.items()
    ]
    if plan.thinking.end is not None:
        said.append(f"Answers are read after {plan.thinking.end}.")
    return " ".join(said)


def _generated(plan: Plan, task: TaskPlan) -> str:
    settings = plan.generation_of(task.task)
    if not settings.do_sample:
        return "Generation is greedy, where the task does not say otherwise"
    named = {"temperature": settings.temperature or 1.0}
    named |= {k: v for k in ("top_p", "top_k") if (v := getattr(settings, k)) is not None}
    given = ", ".join(f"{name} {value:g}" for name, value in named.items())
    many = f", {task.samples} outputs per item, whose mean counts" if task.samples > 1 else ""
    return f"Outputs are sampled ({given}, seed {plan.seed}){many}"


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


def sentence(verdict: Verdict) -> str:
    """What the rule found for one question, with its figures; the finding itself stands before."""
    moved, *caveat = _effect(verdict)
    said = ", ".join([f"{moved} on {verdict.comparison.n} items", *caveat])
    effect = f"{verdict.condition}, {verdict.task}: {said} ({_certainty(verdict)})."
    return " ".join([effect, *_rest(verdict), *_sampled(verdict)])


def headline(verdict: Verdict) -> str:
    """The finding with its effect, and with what must not be missed of it."""
    return ", ".join([verdict.finding.value, *_effect(verdict)])


def details(verdict: Verdict) -> str:
    """What stands below the headline."""
    effect = f"{verdict.condition}, {verdict.comparison.n} items: {_certainty(verdict)}."
    return " ".join([effect, *_rest(verdict), *_sampled(verdict)])


def _effect(verdict: Verdict) -> list[str]:
    caveat = caveat_of(verdict)
    return [_moved(verdict.comparison), *([caveat] if caveat else [])]


def _certainty(verdict: Verdict) -> str:
    found = interval(verdict.comparison)
    return f"95 % interval {found}, adjusted {p_phrase(verdict.p_adjusted)}"


def _moved(comparison: Comparison) -> str:
    unit = " points" if comparison.binary else ""
    return f"{change(comparison.difference, binary=comparison.binary)}{unit}"


def caveat_of(verdict: Verdict) -> str:
    """What a reader must not miss of a finding, as part of a sentence; empty where nothing is.

    Format: the task's own filter sees a change that ``answer`` does not. Habit: of a gain, little
    or nothing is left where both conditions are made to write the steps.
    """
    strict, forced = (verdict.beside.get(name) for name in _CAVEATS)
    if verdict.finding is Finding.NOTHING and strict is not None and strict.p < ALPHA:
        return f"format, not ability (the task's own filter: {_moved(strict)})"
    gained = verdict.comparison.difference
    if forced is None or verdict.finding not in _GAINS:
        return ""
    if forced.high < gained * _LITTLE:
        part = "all" if forced.difference <= 0 else "nearly all"
        return f"{part} of it the habit of writing steps"
    if forced.low <= 0:
        return "not shown to be more than the habit of writing steps"
    return "" if forced.difference >= gained / 2 else "most of it the habit of writing steps"


def _rest(verdict: Verdict) -> list[str]:
    if verdict.finding is Finding.UNDECIDED:
        return [_truncation(verdict)]
    if verdict.finding is Finding.NOTHING:
        return [_detectable(verdict)]
    if not (verdict.controls or verdict.others):
        return ["No control was run: any other update of this size might do the same."]
    parts = ", ".join(f"{name} {percent(part)}" for name, part in verdict.control_share.items())
    shared = f"Share of it that a control of the same norm gives: {parts}."
    if verdict.finding is Finding.HURTS:
        return [shared]
    if verdict.finding is Finding.UNCONTROLLED:
        few = f"Fewer than {FEWEST_DRAWS} draws of a control do not say how much draws vary."
        return [few, shared]
    shown = "Above" if verdict.finding is Finding.HELPS else "Not shown to be above"
    return [f"{shown} {' and '.join(_controls(verdict))}.", shared]


def _controls(verdict: Verdict) -> list[str]:
    binary = verdict.comparison.binary
    said = []
    for test in verdict.controls:
        count = f"{len(test.effects)} {test.kind} draw{'s' if len(test.effects) > 1 else ''}"
        spread = change(test.spread, binary=binary).removeprefix("+")
        said.append(
            f"{count} as a sample ({change(test.margin, binary=binary)} over their mean, draws "
            f"vary by {spread}, {p_phrase(test.p)})"
        )
    for other in verdict.others:
        margin = change(other.margin.difference, binary=binary)
        said.append(f"{other.name} ({margin}, {p_phrase(other.margin.p)})")
    return said


def _detectable(verdict: Verdict) -> str:
    comparison = verdict.comparison
    if verdict.detectable is None and comparison.test != "exact McNemar":
        return "No item's value differs, so how much they vary is not known."
    if verdict.detectable is None:
        return "So few items cannot show an effect of any size."
    unit = " points" if comparison.binary else ""
    found = size(verdict.detectable, binary=comparison.binary)
    return f"An effect of {found}{unit} would have been found four times in five."


def _sampled(verdict: Verdict) -> list[str]:
    found = verdict.sampling
    if found is None or not found.total:
        return []
    k, n, binary = found.samples, found.items, verdict.comparison.binary
    deeper, wider = (
        size(found.detectable(samples=s, items=i, alpha=ALPHA / verdict.family), binary=binary)
        for s, i in ((_MORE * k, n), (k, _MORE * n))
    )
    return [
        f"Of its variance, {percent(found.share)} is which {k} outputs were drawn: {_MORE * k} "
        f"samples would show an effect of {deeper} points, {_MORE * n} items one of {wider}."
    ]


def _truncation(verdict: Verdict) -> str:
    before, after = (f"{100 * share:.1f} %" for share in verdict.truncated)
    found = verdict.ways or {}
    ways = "; ".join(f"{way.value}: {found[way].value}" for way in Way if way in found)
    budget = "a larger token budget"
    if verdict.budget is not None:
        budget = f"max_gen_toks: {2 * verdict.budget} (it was {verdict.budget})"
    return (
        f"{after} of its outputs were cut off at the token budget, and {before} of the target's. "
        f"Their items counted {ways}. Run it again with {budget}: --extend does so for "
        "the outputs that were cut off."
    )
