"""The fused kernels, compiled when they are first needed: a hundredth of a second or two each."""

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import Any

import llvmlite.binding as llvm

from rvec_merge.arithmetic.ir import SUMS, Signature, module_of
from rvec_merge.arithmetic.ir_packing import Packing, packing_module
from rvec_merge.arithmetic.ir_product import Product, product_module

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


def multiply(
    product: Product, left: int, right: int, out: int, scale: float, shape: tuple[int, int, int]
) -> None:
    """Write ``scale · left @ right`` to ``out``.

    Args:
        left, right, out: the addresses of what ``product_module`` says.
        shape: rows, columns and rank.
    """
    _compiled(product)(left, right, out, scale, *shape)


def pack(packing: Packing, places: Sequence[int], count: int) -> int:
    """Run a packing kernel on the addresses that it names."""
    return _compiled(packing)(*places, count)


@cache
def wide_registers() -> bool:
    """Whether this processor has 32 registers of 512 bits, and expands one by a mask (AVX-512)."""
    return bool(llvm.get_host_cpu_features().get("avx512f"))


def assembly(signature: Signature) -> str:
    """The processor's instructions for a kernel."""
    with _LOCK:
        return str(_machine().emit_assembly(_optimised(module_of(signature))))


def _compiled(kernel: Signature | Product | Packing) -> Callable[..., int]:
    with _LOCK:  # two threads that need one kernel make it once
        return _made(kernel)


@cache
def _made(kernel: Signature | Product | Packing) -> Callable[..., int]:
    kinds: list[Any]
    if isinstance(kernel, Signature):
        coefficients = sum(part.used for part in kernel.parts)
        kinds = [ctypes.c_void_p] * (len(kernel.inputs) + 1) + [ctypes.c_double] * coefficients
        return _callable(module_of(kernel), [*kinds, ctypes.c_int64])
    if isinstance(kernel, Product):
        kinds = [ctypes.c_void_p] * 3 + [ctypes.c_double] + [ctypes.c_int64] * 3
        return _callable(product_module(kernel), kinds)
    kinds = [ctypes.c_void_p] * kernel.pointers
    return _callable(packing_module(kernel), [*kinds, ctypes.c_int64])


def _callable(text: str, kinds: Sequence[Any]) -> Callable[..., int]:
    engine = llvm.create_mcjit_compiler(_optimised(text), _machine())
    engine.finalize_object()
    prototype = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)
    function = prototype(engine.get_function_address("kernel"))
    function.engine = engine  # type: ignore[attr-defined]  # which owns the code
    return function


def _optimised(text: str) -> llvm.ModuleRef:
    machine = _machine()
    module = llvm.parse_assembly(text)
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
