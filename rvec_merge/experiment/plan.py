"""The experiment plan: a strict YAML file that fixes what is run and reported before it runs."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    field_validator,
    model_validator,
)

from rvec_merge.files.names import NAME
from rvec_merge.tasks.perturb.spec import Perturbation

Prompt = Literal["plain", "think"]
TaskName = Annotated[str, Field(pattern=rf"^{NAME}$")]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Scale = Annotated[float, Field(strict=True, gt=0, le=10, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Generation(_Strict):
    """Overrides of the tasks' generation settings."""

    max_gen_toks: StrictInt | None = Field(default=None, ge=1)
    do_sample: StrictBool | None = None
    temperature: StrictFloat | None = Field(default=None, gt=0, allow_inf_nan=False)
    top_p: StrictFloat | None = Field(default=None, gt=0, le=1)
    top_k: StrictInt | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _sampling_is_asked_for(self) -> "Generation":
        idle = [n for n in ("temperature", "top_p", "top_k") if getattr(self, n) is not None]
        if idle and not self.do_sample:
            raise ValueError(f"{', '.join(idle)}: no effect without do_sample: true")
        return self


class TaskPlan(_Strict):
    """One task or group, and how its items are used.

    Attributes:
        task: the name of the plain variant, e.g. ``rvec_gsm8k``.
        validation: the task whose items choose the scale, where ``selection.by`` is validation.
        metric, filter: the one that is tested; by default the task's first.
        selects: whether this task takes part in choosing the scale.
        prompts, perturbations: instead of the plan's, for a task that lacks some variants.
        min_items: how few items of a perturbed set are enough, where the clean one has more.
        samples: outputs per item; an item's value is then the mean of its outputs (avg@k).
        generation: instead of the plan's.
    """

    task: TaskName
    validation: TaskName | None = None
    metric: str | None = None
    filter: str | None = None
    selects: StrictBool = True
    prompts: tuple[Prompt, ...] | None = None
    perturbations: tuple[Perturbation, ...] | None = None
    min_items: StrictInt = Field(default=100, ge=2)
    samples: StrictInt = Field(default=1, ge=1, le=1024)
    generation: Generation | None = None


class Controls(_Strict):
    """How many draws of each control are evaluated, with seeds 0, 1, …; and other vectors.

    Attributes:
        vectors: recipes, or folders of compact vectors, of other donor pairs: trained for another
            skill, or for none. What each adds to the target is brought to this vector's norm,
            tensor by tensor.
    """

    random: StrictInt = Field(default=6, ge=0, le=100)
    permuted: StrictInt = Field(default=2, ge=0, le=100)
    vectors: tuple[str, ...] = ()

    @property
    def named(self) -> dict[str, str]:
        """The other vectors by the name that tables give them."""
        return {Path(source).name.removesuffix(".yaml"): source for source in self.vectors}

    @model_validator(mode="after")
    def _are_distinct(self) -> "Controls":
        if len(self.named) < len(self.vectors):
            raise ValueError("vectors: two have one name; copy one under a name of its own")
        return self


class Selection(_Strict):
    """On which items the scale is chosen: others than those reported, or the plan says so.

    Attributes:
        by: ``validation`` uses each task's validation task; ``share`` sets a seeded share of the
            items aside; ``same_items`` chooses and reports on the same items.
        share: the share of items set aside.
    """

    by: Literal["validation", "share", "same_items"]
    share: Share = 0.3


class Thinking(_Strict):
    """How models that think before they answer are prompted and read.

    Attributes:
        on: the chat template's ``enable_thinking``; None leaves it to the template.
        end: what ends the thinking. What comes before it is no answer to any filter, and an
            output without it has none: its thinking never ended.
    """

    on: StrictBool | None = None
    end: str | None = Field(default=None, min_length=1)


class Plan(_Strict):
    """Conditions × tasks × scales of one experiment.

    Attributes:
        recipe: path of the recipe, from the current folder or else from the plan's; or a recipe
            repo on the Hub, ``hf://REPO_ID[@revision]``.
        prompts: ``think`` adds the think conditions.
        perturbations: evaluated for the target, the vector and one control.
        scales: the candidates for the one scale that is reported. They take the place of the
            recipe's scale where that is one number, and multiply it where it is a mask.
        donors: how both donors are evaluated: with the target's tokenizer, chat template, config
            and generation config, or each as its folder alone would be; False: not at all.
        subtract: whether −vector is evaluated.
        precision: the dtype of the weights that are evaluated.
        forced_steps: whether to withhold the answer until the steps are written, where a task
            can count them.
        limit: items per task; None for all.
        batch_size: sequences at a time; ``auto`` finds what the device holds, for each cell anew.
        chat_template: whether prompts go through the tokenizer's chat template.
        allow: settings in which the inputs' configs may differ, as ``rvec merge --allow``.
        dequantize: FP8 inputs are read as float32, as ``rvec merge --dequantize``.
        seed: of the items set aside, the bootstrap, sampling, and lm-eval's own draws.
        generation: instead of what the tasks say.
        thinking: of models that think before they answer.
    """

    recipe: str
    tasks: tuple[TaskPlan, ...] = Field(min_length=1)
    prompts: tuple[Prompt, ...] = ("plain", "think")
    perturbations: tuple[Perturbation, ...] = ()
    scales: tuple[Scale, ...] = Field(min_length=1)
    controls: Controls = Controls()
    donors: Literal["target_prompts", "own_prompts", False] = "target_prompts"
    subtract: StrictBool = True
    precision: Literal["float32", "bfloat16"] = "float32"
    selection: Selection
    forced_steps: StrictBool = False
    limit: StrictInt | None = Field(default=None, ge=1)
    batch_size: int | Literal["auto"] = 16
    chat_template: StrictBool = True
    allow: tuple[str, ...] = ()
    dequantize: StrictBool = False
    seed: StrictInt = Field(default=0, ge=0, lt=2**32)
    generation: Generation = Generation()
    thinking: Thinking = Thinking()

    def task(self, name: str) -> TaskPlan:
        """The plan's entry of a task, or of its validation task."""
        return next(t for t in self.tasks if name in (t.task, t.validation))

    def generation_of(self, name: str) -> Generation:
        """The overrides that a task is generated with."""
        return self.task(name).generation or self.generation

    def with_budget(self, tokens: int | None) -> "Plan":
        """The plan with another token budget, for every task."""

        def changed(generation: Generation) -> Generation:
            return generation.model_copy(update={"max_gen_toks": tokens})

        tasks = tuple(
            t.model_copy(update={"generation": changed(t.generation)}) if t.generation else t
            for t in self.tasks
        )
        return self.model_copy(update={"generation": changed(self.generation), "tasks": tasks})

    @field_validator("donors", mode="before")
    @classmethod
    def _true_is_the_default(cls, value: Any) -> Any:
        return "target_prompts" if value is True else value

    @field_validator("batch_size", mode="before")
    @classmethod
    def _is_a_size(cls, value: Any) -> Any:
        if value == "auto" or (type(value) is int and value >= 1):
            return value
        raise ValueError("write a whole number from 1, or auto")

    @field_validator("tasks", mode="before")
    @classmethod
    def _names_are_tasks(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"task": item} if isinstance(item, str) else item for item in value]

    @model_validator(mode="after")
    def _is_consistent(self) -> "Plan":
        for what, values in (
            ("scale", self.scales),
            ("task", [t.task for t in self.tasks]),
            ("prompt", self.prompts),
            ("perturbation", self.perturbations),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"a {what} is listed twice")
        if "plain" not in self.prompts:
            raise ValueError("prompts must include plain: every baseline is")
        bare = [t.task for t in self.tasks if t.prompts is not None and "plain" not in t.prompts]
        if bare:
            raise ValueError(f"prompts of {', '.join(bare)} must include plain")
        greedy = [
            t.task for t in self.tasks if t.samples > 1 and not self.generation_of(t.task).do_sample
        ]
        if greedy:
            raise ValueError(
                f"samples of {', '.join(greedy)}: greedy outputs are all alike; "
                "set generation: {do_sample: true}"
            )
        if self.thinking.on is not None and not self.chat_template:
            raise ValueError("thinking.on is the chat template's, and chat_template is false")
        validating = [t.validation for t in self.tasks if t.validation is not None]
        if len(set(validating)) != len(validating) or {t.task for t in self.tasks} & {*validating}:
            raise ValueError("a validation task must be no other task, and of one task alone")
        choosing = [t for t in self.tasks if t.selects]
        if not choosing:
            raise ValueError("at least one task must choose the scale (selects: true)")
        if self.selection.by == "validation" and len(self.scales) > 1:
            missing = [t.task for t in choosing if t.validation is None]
            if missing:
                raise ValueError(f"no validation task is named for {', '.join(missing)}")
        return self
