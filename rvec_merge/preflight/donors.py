"""Two donors, without a target: whether their difference is a vector at all."""

import logging
from typing import Any, cast

from rvec_merge.checkpoint.weights import Weights
from rvec_merge.errors import Notice, RvecError, combined
from rvec_merge.plan.inputs import Input
from rvec_merge.preflight import configs, tokenizers

LOG = logging.getLogger(__name__)


def check_alike(grpo: Weights, sft: Weights) -> None:
    """Refuse donors whose rows are other tokens', or whose weights are another model's.

    Settings in which they differ are logged.

    Raises:
        CheckpointError: a tokenizer or a config cannot be read.
        IncompatibleTensorsError: they differ in what no vector can carry.
    """
    first, other = (
        Input(cast("Any", c.root), c.root, c, label) for label, c in (("grpo", grpo), ("sft", sft))
    )
    found = [*tokenizers.compare([first, other])]
    if first.config and other.config and first.config != other.config:
        found += configs.compare(first, other, configs.ALLOWABLE)
    for notice in found:
        if isinstance(notice, Notice):
            LOG.warning("%s", notice)
    if errors := [finding for finding in found if isinstance(finding, RvecError)]:
        raise combined(errors)
