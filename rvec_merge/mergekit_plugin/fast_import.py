"""Import mergekit's planner in half the time, for a process that only plans and streams.

mergekit imports peft, accelerate and networkx, and with annotations and tables all of transformers'
model code; a streamed merge uses none of it. While mergekit is imported here, those few modules are
stood in for by late ones, which import the real one when they are first used: a recipe that does
need them (adapters, architectures without a definition) works as ever, and pays then.
"""

import gc
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

# Late module -> the functions mergekit takes from it by name.
_LATE = {
    "peft": (),
    "accelerate": (),
    "networkx": (),
    "transformers.modeling_utils": ("PreTrainedModel",),
    "mergekit.architecture.conversion": ("convert_checkpoint_tensors",),
    "mergekit.architecture.auto": ("infer_architecture_info",),
}
# Looks through a thousand files when it is imported, as transformers itself just has; what is asked
# of it is nearly always one of its packages, and those can be had without that.
_MODELS = "transformers.models"
# mergekit goes on without this one, with an empty table of model classes.
_TABLES = "transformers.models.auto.modeling_auto"
_HEAVY = ("peft", "transformers.modeling_utils", "mergekit.common", _TABLES)


def import_mergekit(*, quiet: bool = True) -> None:
    """Import ``mergekit.merge``; nothing special in a process that has the heavy parts already.

    Args:
        quiet: keep transformers from telling users what mergekit still calls by its old name.
    """
    collecting = gc.isenabled()
    gc.disable()  # what an import makes stays; looking for garbage in it takes a tenth of the time
    try:
        _import()
    finally:
        # Else the interpreter walks through all of it once more when it ends, which takes longer
        # than to import mergekit.
        gc.freeze()
        if collecting:
            gc.enable()
    if quiet:
        import transformers

        transformers.logging.set_verbosity_error()


def _import() -> None:
    if any(name in sys.modules for name in _HEAVY):
        importlib.import_module("mergekit.merge")
        return
    import transformers

    late = {name: _LateModule(name, functions) for name, functions in _LATE.items()}
    sys.modules.update(late)
    sys.modules.setdefault(_MODELS, _LatePackage(_MODELS, Path(transformers.__file__).parent))
    sys.modules[_TABLES] = None  # type: ignore[assignment]
    try:
        importlib.import_module("mergekit.merge")
    finally:
        for name in (*late, _TABLES):
            sys.modules.pop(name, None)
        vars(transformers).pop("PreTrainedModel", None)  # its lazy module keeps what it was asked
    common = sys.modules["mergekit.common"]
    vars(common)["get_auto_cls"] = _with_table(common)


class _LateModule(ModuleType):
    """Stands in for a module until something is asked of it."""

    def __init__(self, name: str, functions: tuple[str, ...]) -> None:
        super().__init__(name)
        self.__path__: list[str] = []
        if "." not in name:  # who asks whether a package is installed hears the truth
            self.__spec__ = importlib.util.find_spec(name)
        for function in functions:
            setattr(self, function, _late_function(name, function))

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or sys.modules.get(self.__name__) is self:
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.__name__), attribute)


class _LatePackage(_LateModule):
    """A package whose modules can be imported before it is; it is when anything else is asked."""

    def __init__(self, name: str, parent: Path) -> None:
        super().__init__(name, ())
        self.__path__ = [str(parent / name.rpartition(".")[2])]

    def __getattr__(self, attribute: str) -> Any:
        if not attribute.startswith("__") and sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return super().__getattr__(attribute)


def _late_function(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return getattr(importlib.import_module(module), name)(*args, **kwargs)

    return call


def _with_table(common: ModuleType) -> Callable[[str], Any]:
    """mergekit's ``get_auto_cls``, which first fills the table that the import left empty."""
    real: Callable[[str], Any] = common.get_auto_cls

    def get_auto_cls(name: str) -> Any:
        if not common.ARCH_NAME_TO_AUTO_CLS:
            spec = importlib.util.spec_from_file_location("mergekit.common", common.__file__)
            assert spec is not None
            assert spec.loader is not None
            whole = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(whole)
            common.ARCH_NAME_TO_AUTO_CLS.update(whole.ARCH_NAME_TO_AUTO_CLS)
        return real(name)

    return get_auto_cls
