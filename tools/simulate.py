"""Synthetic experiments: how often the verdict is wrong, and how often it sees an effect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import special

from rvec_merge.stats.controls import ControlDraw
from rvec_merge.stats.question import Question
from rvec_merge.stats.resampling import Floats
from rvec_merge.stats.significance import Outcomes, paired
from rvec_merge.stats.verdict import Finding, judge

# Resampling plays no part in a verdict on 0/1 outcomes.
_RESAMPLES = 2


@dataclass(frozen=True)
class World:
    """What is true in a synthetic experiment, and what it measures.

    An item is answered rightly when ``ability + difficulty + noise > 0``: the difficulty is the
    item's, shared by all conditions, which correlates them; the noise is each condition's own.

    Attributes:
        items: number of items of each task.
        accuracy: the baseline's.
        flips: share of items on which two conditions of equal ability differ.
        gain: the vector's true effect, in accuracy.
        control_gain: the mean true effect of the control draws.
        draw_spread: standard deviation of the true effect between draws, the same draw on all
            tasks. Where ``gain`` is None the vector is one more such draw.
        draws, permuted: number of random and of permuted control draws.
    """

    items: tuple[int, ...] = (164, 500, 1319)
    accuracy: float = 0.6
    flips: float = 0.12
    gain: float | None = 0.0
    control_gain: float = 0.0
    draw_spread: float = 0.0
    draws: int = 6
    permuted: int = 2


@dataclass(frozen=True)
class Rates:
    """Over all simulated experiments: shares of verdicts, and of experiments with any *helps*."""

    experiments: int
    any_helps: float
    verdicts: dict[Finding, float]


def outcomes(
    world: World, items: int, effects: Floats, random: np.random.Generator
) -> list[Outcomes]:
    """Draw one task's items, and their outcomes at each accuracy ``world.accuracy + effect``."""
    # Two conditions' latent scores correlate by cos(pi * flips) at accuracy 1/2 (Sheppard);
    # elsewhere slightly fewer items flip.
    shared = np.sqrt(np.cos(np.pi * world.flips))
    own = np.sqrt(1 - shared**2)
    difficulty = shared * random.standard_normal(items)
    ability = special.ndtri(np.clip(world.accuracy + effects, 1e-6, 1 - 1e-6))
    scores = ability[:, None] + difficulty + own * random.standard_normal((effects.size, items))
    names = np.arange(items)
    return [Outcomes(names, row.astype(np.float64)) for row in scores > 0]


def verdict_rates(world: World, experiments: int = 1000, seed: int = 0) -> Rates:
    """Run synthetic experiments through ``judge`` and count what it says."""
    random = np.random.default_rng(seed)
    findings: Counter[Finding] = Counter()
    any_helps = 0
    for _ in range(experiments):
        seeds = [("random", i) for i in range(world.draws)]
        seeds += [("permuted", i) for i in range(world.permuted)]
        draws = world.control_gain + world.draw_spread * random.standard_normal(len(seeds) + 1)
        vector = draws[-1] if world.gain is None else world.gain
        effects = np.array([0.0, vector, *draws[:-1]])
        questions = []
        for items in world.items:
            baseline, condition, *controls = outcomes(world, items, effects, random)
            drawn = tuple(
                ControlDraw(*seed, one) for seed, one in zip(seeds, controls, strict=True)
            )
            questions.append(Question(f"task-{items}", "+vector", baseline, condition, drawn))
        found = [verdict.finding for verdict in judge(questions, resamples=_RESAMPLES)]
        findings.update(found)
        any_helps += Finding.HELPS in found
    total = sum(findings.values())
    return Rates(
        experiments=experiments,
        any_helps=any_helps / experiments,
        verdicts={finding: findings[finding] / total for finding in Finding},
    )


def coverage(
    world: World, items: int, experiments: int = 1000, *, resamples: int = 2000, seed: int = 0
) -> float:
    """Share of intervals that hold the vector's true effect, at one task size."""
    random = np.random.default_rng(seed)
    effect = world.gain or 0.0
    held = 0
    for i in range(experiments):
        pair = outcomes(world, items, np.array([0.0, effect]), random)
        found = paired(*pair, resamples=resamples, seed=i)
        held += found.low <= effect <= found.high
    return held / experiments
