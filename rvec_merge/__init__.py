"""Reasoning vectors for mergekit: ``θ_target + scale · (θ_GRPO − θ_SFT)``."""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rvec_merge import mergekit_plugin

mergekit_plugin.stock_checks = "rvec_merge.preflight.stock"

# Public name -> module, resolved on first use (PEP 562): nothing of it is imported before.
_PUBLIC = {
    "__version__": "rvec_merge.version",
    "RvecError": "rvec_merge.errors",
    "RunSettings": "rvec_merge.experiment.settings",
    "Settings": "rvec_merge.merge.settings",
    "check": "rvec_merge.api.merging",
    "compare": "rvec_merge.api.evidence",
    "extract": "rvec_merge.api.vectors",
    "inspect": "rvec_merge.api.vectors",
    "merge_tensor": "rvec_merge.arithmetic.merge_tensor",
    "outline": "rvec_merge.api.evidence",
    "read_recipe": "rvec_merge.recipe.read",
    "reasoning_vector": "rvec_merge.mergekit_plugin.method",
    "verify": "rvec_merge.api.merging",
}
# Verbs that are rooms' names too: once a room is imported, Python puts the module in this place.
_ROOMS = {
    "experiment": "rvec_merge.api.evidence",
    "merge": "rvec_merge.api.merging",
    "report": "rvec_merge.api.evidence",
}

__all__ = [
    "RunSettings",
    "RvecError",
    "Settings",
    "__version__",
    "check",
    "compare",
    "experiment",
    "extract",
    "inspect",
    "merge",
    "merge_tensor",
    "outline",
    "read_recipe",
    "reasoning_vector",
    "report",
    "verify",
]

if TYPE_CHECKING:
    from rvec_merge.api.evidence import compare, experiment, outline, report
    from rvec_merge.api.merging import check, merge, verify
    from rvec_merge.api.vectors import extract, inspect
    from rvec_merge.arithmetic.merge_tensor import merge_tensor
    from rvec_merge.errors import RvecError
    from rvec_merge.experiment.settings import RunSettings
    from rvec_merge.merge.settings import Settings
    from rvec_merge.mergekit_plugin.method import reasoning_vector
    from rvec_merge.recipe.read import read_recipe
    from rvec_merge.version import __version__


class _Verb(ModuleType):
    """A room that is called like a verb: ``rv.merge(...)`` calls it, ``rv.merge.run`` is a file."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return _function(self.__name__.rpartition(".")[2])(*arguments, **options)

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(_function(self.__name__.rpartition(".")[2]))


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ROOMS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


def _function(verb: str) -> Any:
    return getattr(import_module(_ROOMS[verb]), verb)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


sys.modules[__name__].__class__ = _Package
