"""The fused kernels, compiled when they are first needed: a hundredth of a second or two each."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock

import llvmlite.binding as llvm

from rvec_merge.arithmetic.ir import SUMS, Signature, module_of

_LOCK = Lock()


def merge(
    signature: Signature,
    inputs: Sequence[int],
    coefficients: Sequence[float],
    out: int,
    count: int,
) -> bool:
    """Write ``out``; False if a value is not finite.

    Args:
        inputs, out: the addresses of ``count`` elements each; ``out`` overlaps no input.
        coefficients: of the parts that are used.
    """
    return not _compiled(signature)(*inputs, out, *coefficients, count)


def measure(
    signature: Signature,
    inputs: Sequence[int],
    coefficients: Sequence[float],
    count: int,
) -> list[float]:
    """A measuring kernel's sums over ``count`` elements, added one after the other."""
    sums = (ctypes.c_double * SUMS)()
    _compiled(signature)(*inputs, ctypes.addressof(sums), *coefficients, count)
    return list(sums)


def assembly(signature: Signature) -> str:
    """The processor's instructions for a kernel."""
    with _LOCK:
        return str(_machine().emit_assembly(_optimised(signature)))


def _compiled(signature: Signature) -> Callable[..., int]:
    with _LOCK:  # two threads that need one kernel make it once
        return _made(signature)


@cache
def _made(signature: Signature) -> Callable[..., int]:
    engine = llvm.create_mcjit_compiler(_optimised(signature), _machine())
    engine.finalize_object()
    coefficients = sum(part.used for part in signature.parts)
    kinds = [ctypes.c_void_p] * (len(signature.inputs) + 1) + [ctypes.c_double] * coefficients
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, *kinds, ctypes.c_int64)
    function = prototype(engine.get_function_address("kernel"))
    function.engine = engine  # type: ignore[attr-defined]  # which owns the code
    return function


def _optimised(signature: Signature) -> llvm.ModuleRef:
    machine = _machine()
    module = llvm.parse_assembly(module_of(signature))
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.loop_interleaving = options.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


@cache
def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True
    )
