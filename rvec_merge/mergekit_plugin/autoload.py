"""Register ``reasoning_vector`` when, and only when, mergekit's registry is imported.

mergekit has no plugin discovery yet, so this borrows PyTorch's out-of-tree hook: entry points of
the group ``torch.backends`` run at the end of ``import torch``. Nothing here may import more than
the standard library, and no exception may leave ``install``: torch turns one into a failed import.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as typing's, without the import: this runs whenever torch is imported
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

REGISTRY = "mergekit.merge_methods.registry"


def install() -> None:
    """Place the import hook, or register at once if the registry is there already. Idempotent."""
    try:
        if not any(_is_ours(finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
        registry = sys.modules.get(REGISTRY)
        if registry is not None and hasattr(registry, "registered_methods"):
            _register(registry)
    except Exception as error:
        _warn(error)


class _Finder:
    """Finds the registry as every other finder would, and has it register us once executed."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != REGISTRY:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if find is None or _is_ours(finder):
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


def _is_ours(finder: object) -> bool:
    # By name: after a reload of this module, an older _Finder is of another class.
    kind = finder if isinstance(finder, type) else type(finder)
    return (kind.__module__, kind.__name__) == (__name__, "_Finder")


class _Loader:
    """The registry's own loader, plus one call after the module has been executed."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._inner.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # Tools that look at a module's loader (inspect, pickle, coverage) should see its own.
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        try:
            _register(module)
        except Exception as error:
            _warn(error)


def _register(registry: ModuleType) -> None:
    method = sys.modules.get("rvec_merge.mergekit_plugin.method")
    if method is not None and not hasattr(method, "register"):
        return  # the import of the method is what imported the registry; it ends by registering
    from rvec_merge.mergekit_plugin.method import register

    register(registry)


def _warn(error: Exception) -> None:
    import warnings

    warnings.warn(
        f"rvec-merge could not register the merge method 'reasoning_vector': {error!r}. "
        "mergekit's other methods are unaffected; `rvec doctor` says more.",
        RuntimeWarning,
        stacklevel=2,
    )
