"""Reasoning vectors for mergekit: ``θ_target + scale · (θ_GRPO − θ_SFT)``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Whoever checks a stock mergekit run while it plans. Here, because no room may name one above it.
STOCK_CHECKS = "rvec_merge.preflight.stock"

# Public name -> module, resolved on first use (PEP 562): importing this package imports nothing.
_PUBLIC = {
    "RvecError": "rvec_merge.errors",
    "merge_tensor": "rvec_merge.arithmetic.loop",
    "reasoning_vector": "rvec_merge.mergekit_plugin.method",
    "read_recipe": "rvec_merge.recipe.read",
}

__all__ = ["RvecError", "__version__", "merge_tensor", "read_recipe", "reasoning_vector"]

if TYPE_CHECKING:
    from rvec_merge.arithmetic.loop import merge_tensor
    from rvec_merge.errors import RvecError
    from rvec_merge.mergekit_plugin.method import reasoning_vector
    from rvec_merge.recipe.read import read_recipe


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
