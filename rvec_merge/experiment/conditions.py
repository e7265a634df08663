"""What is evaluated: model states, and the cells that a plan asks for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from rvec_merge.arithmetic.control_kinds import CONTROL_KINDS, ControlKind
from rvec_merge.experiment.plan import Plan, Prompt, TaskName, TaskPlan
from rvec_merge.tasks.perturb.spec import Perturbation, suffix

Kind = Literal["target", "sft", "grpo", "vector", "other"] | ControlKind


@dataclass(frozen=True, order=True)
class State:
    """The weights of one condition.

    Attributes:
        kind: the target, a donor, the target plus the vector, plus a control, or plus another
            vector.
        scale: of the vector or control; 0 for the target and the donors.
        seed: of the control; 0 for everything else.
        name: of the other vector; empty for everything else.
    """

    kind: Kind
    scale: float = 0.0
    seed: int = 0
    name: str = ""

    @property
    def label(self) -> str:
        """How tables call it, e.g. ``target + 0.5 vector``."""
        return self.named(f"{abs(self.scale):g}")

    def named(self, scale: str) -> str:
        """``label`` with another word for the scale."""
        if self.kind in {"target", "sft", "grpo"}:
            return self.kind if self.kind == "target" else f"{self.kind} donor"
        sign = "−" if self.scale < 0 else "+"
        name = "vector" if self.kind == "vector" else self.name or f"{self.kind} {self.seed}"
        return f"target {sign} {scale} {name}"


PROMPTS: tuple[Prompt, ...] = ("plain", "think")
TARGET = State("target")


@dataclass(frozen=True, order=True)
class Cell:
    """One evaluation: a model state on one task variant.

    Attributes:
        task: the plan's task, or its validation task.
        state: the weights.
        prompt: plain or think.
        perturbation: None for clean items.
        forced: whether the answer is withheld until the steps are written.
    """

    task: TaskName
    state: State
    prompt: Prompt = "plain"
    perturbation: Perturbation | None = None
    forced: bool = False

    @property
    def variant(self) -> str:
        """The lm-eval task that is run."""
        prompt = f"_{self.prompt}" if self.prompt != "plain" else ""
        return self.task + prompt + (suffix(self.perturbation) if self.perturbation else "")

    @property
    def condition(self) -> str:
        """How tables call it: the state, the prompt, the perturbation."""
        return self.named(f"{abs(self.state.scale):g}")

    def named(self, scale: str) -> str:
        """``condition`` with another word for the scale."""
        extras = ["think"] if self.prompt == "think" else []
        extras += [self.perturbation] if self.perturbation else []
        extras += ["forced steps"] if self.forced else []
        return ", ".join([self.state.named(scale), *extras])

    @property
    def baseline(self) -> "Cell":
        """The target on the same items with the same prompt."""
        return Cell(self.task, TARGET, self.prompt, self.perturbation, self.forced)


def sweep_cells(plan: Plan) -> list[Cell]:
    """The cells that choose the scale; empty where one scale leaves nothing to choose."""
    if len(plan.scales) == 1:
        return []
    tasks = [_choosing_task(plan, i) for i, t in enumerate(plan.tasks) if t.selects]
    states = [TARGET, *(State("vector", scale) for scale in plan.scales)]
    return [Cell(task, state) for state in states for task in tasks]


def _choosing_task(plan: Plan, index: int) -> str:
    task = plan.tasks[index]
    if plan.selection.by == "validation":
        assert task.validation is not None
        return task.validation
    return task.task


def report_cells(plan: Plan, scale: float) -> list[Cell]:
    """The cells that are reported once ``scale`` has been chosen."""
    cells = [
        Cell(task.task, state, prompt)
        for state, prompt in _clean(plan, scale)
        for task in plan.tasks
        if prompt in (plan.prompts if task.prompts is None else task.prompts)
    ]
    for perturbation in dict.fromkeys(_all_perturbations(plan)):
        for state in _perturbed_states(plan, scale):
            cells += [
                Cell(task.task, state, "plain", perturbation)
                for task in plan.tasks
                if perturbation in _perturbations(plan, task)
            ]
    if plan.forced_steps:
        for state in (TARGET, State("vector", scale)):
            cells += [Cell(t.task, state, "plain", None, True) for t in plan.tasks]
    return cells


def _perturbations(plan: Plan, task: TaskPlan) -> tuple[Perturbation, ...]:
    return plan.perturbations if task.perturbations is None else task.perturbations


def _all_perturbations(plan: Plan) -> Iterator[Perturbation]:
    for task in plan.tasks:
        yield from _perturbations(plan, task)


def control_states(plan: Plan, scale: float) -> list[State]:
    """Every control draw, and every other vector, at ``scale``."""
    counts = plan.controls.model_dump()
    drawn = [State(kind, scale, seed) for kind in CONTROL_KINDS for seed in range(counts[kind])]
    return drawn + [State("other", scale, 0, name) for name in plan.controls.named]


def _clean(plan: Plan, scale: float) -> Iterator[tuple[State, Prompt]]:
    states = [TARGET]
    states += [State("sft"), State("grpo")] if plan.donors else []
    for state in [*states, State("vector", scale)]:
        for prompt in PROMPTS:
            yield state, prompt
    if plan.subtract:
        yield State("vector", -scale), "plain"
    for control in control_states(plan, scale):
        yield control, "plain"
        if plan.subtract:
            yield replace(control, scale=-scale), "plain"


def _perturbed_states(plan: Plan, scale: float) -> list[State]:
    return [TARGET, State("vector", scale), *control_states(plan, scale)[:1]]
