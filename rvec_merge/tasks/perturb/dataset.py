"""A perturbation as lm-eval's ``process_docs``."""

from collections.abc import Callable
from typing import Any

import datasets

from rvec_merge.tasks.perturb.gsm_plus import paired
from rvec_merge.tasks.perturb.items import Realised, realise
from rvec_merge.tasks.perturb.spec import GSM_PLUS, PerturbationSpec

Prepare = Callable[[datasets.Dataset], datasets.Dataset]


class Perturb:
    """``process_docs`` of a perturbed task: the base's own, then the perturbation.

    lm-eval calls it four times per evaluation, so the last set is kept.
    """

    def __init__(self, spec: PerturbationSpec, prepare: Prepare | None = None) -> None:
        self.spec = spec
        self.prepare = prepare
        self._last: tuple[datasets.Dataset, datasets.Dataset, Realised] | None = None

    def __call__(self, items: datasets.Dataset) -> datasets.Dataset:
        return self._realised(items)[1]

    def report(self, items: datasets.Dataset) -> Realised:
        """The set with its yield and the reasons of the refusals."""
        return self._realised(items)[2]

    def _realised(
        self, items: datasets.Dataset
    ) -> tuple[datasets.Dataset, datasets.Dataset, Realised]:
        if self._last is None or self._last[0] is not items:
            prepared = self.prepare(items) if self.prepare else items
            make = paired if self.spec.kind in GSM_PLUS else realise
            done = make(prepared, self.spec)
            self._last = (items, datasets.Dataset.from_list(list(done.rows)), done)
        return self._last

    def __repr__(self) -> str:
        return f"Perturb({self.spec.label})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Perturb":
        # lm-eval copies a task's configuration into the results file.
        return self
