"""lm-eval's vLLM model on an engine that exists: its requests, with our seeds and forced steps."""

import hashlib
import importlib.metadata
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from types import SimpleNamespace
from typing import Any, TypeAlias

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import configure_pad_token

from rvec_merge.tasks.forced import Withholding, forbidden

# Of a model's generation config, as transformers' generate applies it; the second kind samples.
_DEFAULTS = ("repetition_penalty",)
_SAMPLING_DEFAULTS = ("top_p", "top_k", "min_p")

# A prompt's tokens, how it is to be answered, and how many answers it gets.
_Request: TypeAlias = tuple[tuple[int, ...], str, int]
LOG = logging.getLogger(__name__)


class _Noted(Exception):
    """An evaluation ends here: what it asks for is known."""


@contextmanager
def _named_vllm() -> Iterator[None]:
    """lm-eval asks for the version of a package ``vllm``, which a CPU's build is not called."""
    import vllm

    real = importlib.metadata.version
    importlib.metadata.version = lambda distribution_name: (
        vllm.__version__ if distribution_name == "vllm" else real(distribution_name)
    )
    try:
        yield
    finally:
        importlib.metadata.version = real


with _named_vllm():
    from lm_eval.models.vllm_causallms import VLLM


class SweepVLLM(VLLM):  # type: ignore[misc]
    """lm-eval's model class, given an engine whose weights change between evaluations.

    Args:
        engine: vLLM's ``LLM``.
        tokenizer: transformers'.
        seed: of sampling; each request has its own seed, from this and its prompt.

    Set ``withholding`` to evaluate with forced steps; None evaluates as lm-eval does.

    Attributes:
        cut: by prompt, whether an output to it was cut off at the token budget.
    """

    def __init__(self, engine: Any, tokenizer: Any, seed: int) -> None:
        TemplateLM.__init__(self)
        config = engine.llm_engine.model_config
        self.model = engine
        self._config = config.hf_config
        self.tokenizer = configure_pad_token(tokenizer, model_config=self._config)
        self.tensor_parallel_size = self.data_parallel_size = 1  # as lm-eval would share requests
        self.batch_size = "auto"
        self.truncation_side = "left"
        self._max_length = config.max_model_len
        self._max_gen_toks = 256
        self.add_bos_token = self.custom_prefix_token_id = self.lora_request = None
        self.think_end_token = self.enable_thinking = self.hf_chat_template = None
        self.chat_template_args: dict[str, Any] = {}
        self.withholding: Withholding | None = None
        self.cut: dict[str, bool] = {}
        self._seed = seed
        self._defaults = config.get_diff_sampling_param()
        self._asked: Sequence[Instance] = ()
        self._lengths: dict[str, int] = {}
        self._noted: dict[_Request, Any] | None = None
        self._ahead: dict[_Request, Any] = {}

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        self._asked = requests
        answers: list[str] = super().generate_until(requests, disable_tqdm)
        return answers

    def tok_encode(self, string: Any, *arguments: Any, **options: Any) -> Any:
        encoded = super().tok_encode(string, *arguments, **options)
        if not isinstance(string, str):
            self._lengths = dict(zip(string, map(len, encoded), strict=True))
        return encoded

    def _model_generate(
        self, requests: list[list[int]], generate: bool = False, sampling_params: Any = None
    ) -> list[Any]:
        if not generate:
            if self._noted is not None:
                raise _Noted  # what is scored is not generated
            scored: list[Any] = super()._model_generate(requests)
            return scored
        ready = [
            self._completed(params, prompt, request)
            for params, prompt, request in zip(
                sampling_params, requests, self._collated(), strict=True
            )
        ]
        # Outputs of one prompt differ by their place among its samples, not by when they ran.
        places: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for place, (prompt, params) in enumerate(zip(requests, ready, strict=True)):
            places.setdefault((tuple(prompt), repr(params)), []).append(place)
        wanted: dict[_Request, Any] = {}
        for (tokens, asked), same in places.items():
            wanted[tokens, asked, len(same)] = ready[same[0]]
            ready[same[0]].n = len(same)
        if self._noted is not None:
            self._noted.update(wanted)
            raise _Noted
        found: dict[int, Any] = {}
        outputs = self._generated(wanted)
        for key, same in zip(wanted, places.values(), strict=True):
            for place, one in zip(same, outputs[key].outputs, strict=True):
                found[place] = SimpleNamespace(outputs=[one])
        for place, request in enumerate(self._collated()):
            cut = found[place].outputs[0].finish_reason == "length"
            self.cut[request.args[0]] = self.cut.get(request.args[0], False) or cut
        return [found[place] for place in range(len(requests))]

    def answer_ahead(self, evaluations: Sequence[Callable[[], object]]) -> int:
        """Generate in one call what several evaluations will ask for, and count its tokens.

        Each evaluation is run as far as its requests, and takes its answers when it is run again.
        One that fails here, or that asks for no text, is left to that time.
        """
        self._ahead, noted = {}, dict[_Request, Any]()
        for evaluate in evaluations:
            self._noted = {}
            try:
                evaluate()
            except _Noted:
                noted |= self._noted
            except Exception as error:
                LOG.debug("not asked for ahead: %s", error)
            finally:
                self._noted = None
        self._ahead = self._generated(noted)
        return sum(len(one.token_ids) for o in self._ahead.values() for one in o.outputs)

    def forget_answers(self) -> None:
        """What was generated ahead is of other weights from now on."""
        self._ahead = {}

    def _generated(self, wanted: Mapping[_Request, Any]) -> dict[_Request, Any]:
        """The engine's outputs, those that it has already and those that it has not."""
        # The longest first, so that none is left to run alone at the end.
        left = [key for key in wanted if key not in self._ahead]
        left.sort(key=lambda key: (-(wanted[key].max_tokens or 0), -len(key[0])))
        outputs = (
            super()._model_generate([list(key[0]) for key in left], True, [wanted[k] for k in left])
            if left
            else []
        )
        return {**self._ahead, **dict(zip(left, outputs, strict=True))}

    def _collated(self) -> list[Instance]:
        """The requests in the order in which lm-eval hands them over: the longest first."""
        return sorted(self._asked, key=lambda r: (-self._lengths[r.args[0]], r.args[0]))

    def _completed(self, params: Any, prompt: Sequence[int], request: Instance) -> Any:
        """Sampling parameters with the model's own defaults, a seed, and what is withheld."""
        params = copy(params)
        given = request.args[1]
        sampled = params.temperature > 0
        for name in (*_DEFAULTS, *(_SAMPLING_DEFAULTS if sampled else ())):
            if name not in given and name in self._defaults:
                setattr(params, name, self._defaults[name])
        if sampled:
            text = f"{self._seed}/{','.join(map(str, prompt))}"
            digest = hashlib.sha256(text.encode()).digest()
            params.seed = int.from_bytes(digest[:4], "big")
        if self.withholding is not None:
            lines = int(request.doc[self.withholding.steps])
            never = forbidden(self.withholding, self.tokenizer)
            params.extra_args = {"rvec_forced": [lines, never]}
        return params
