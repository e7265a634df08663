"""A product of two factors, element by element, as LLVM's instructions."""

from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from rvec_merge.arithmetic.ir import loop

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FLOAT, _DOUBLE, _POINTER = ir.FloatType(), ir.DoubleType(), ir.PointerType()
_AT_ONCE = 5  # of the rank, for each time that a sum is read and written
_TILE = 512  # columns whose sums stay in the first cache while the rank is walked


@dataclass(frozen=True)
class Product:
    """What a kernel is made for: ``out ← scale · left @ right``, rounded once.

    Attributes:
        wide: the result is float64, as where a factor is; else float32, and the factors hold
            values of float32: their products are exact, so that multiply and add may be one step.
    """

    wide: bool


def product_module(product: Product) -> str:
    """The text of a module with one function, ``kernel``.

    It takes ``left`` (rows, rank), ``right`` (rank, columns) and ``out`` (rows, columns), the first
    two in float64, then rows, columns and rank, at least 1, and the scale; it returns 0. Each
    element is summed in float64 over the rank, in ascending order.
    """
    module = ir.Module("rvec_merge")
    kinds = [_POINTER, _POINTER, _POINTER, _DOUBLE, _I64, _I64, _I64]
    function = ir.Function(module, ir.FunctionType(_I32, kinds), "kernel")
    left, right, out, scale, rows, columns, rank = function.args
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    b = ir.IRBuilder(function.append_basic_block())
    sums = b.alloca(_DOUBLE, _I64(_TILE))
    flags = () if product.wide else ("contract",)

    def tile(number: Any) -> list[Any]:
        low = b.mul(number, _I64(_TILE))
        left_over = b.sub(columns, low)
        width = b.select(b.icmp_signed("<", left_over, _I64(_TILE)), left_over, _I64(_TILE))

        def row(i: Any) -> list[Any]:
            own = b.mul(i, rank)

            def term(k: Any) -> tuple[Any, Any]:
                factor = b.load(_at(b, left, b.add(own, k)), typ=_DOUBLE)
                return factor, b.add(b.mul(k, columns), low)

            first, start = term(_I64(0))

            def begin(j: Any) -> list[Any]:
                value = b.load(_at(b, right, b.add(start, j)), typ=_DOUBLE)
                b.store(b.fmul(first, value), _at(b, sums, j))
                return []

            loop(b, width, [], begin)

            def further(k: Any, count: int) -> list[Any]:
                terms = [term(b.add(k, _I64(n))) for n in range(count)]

                def add(j: Any) -> list[Any]:
                    total = b.load(_at(b, sums, j), typ=_DOUBLE)
                    for factor, place in terms:
                        value = b.load(_at(b, right, b.add(place, j)), typ=_DOUBLE)
                        more = b.fmul(factor, value, flags=flags)
                        total = b.fadd(total, more, flags=flags)
                    b.store(total, _at(b, sums, j))
                    return []

                return loop(b, width, [], add)

            groups = b.sdiv(b.sub(rank, _I64(1)), _I64(_AT_ONCE))
            loop(
                b, groups, [], lambda g: further(b.add(b.mul(g, _I64(_AT_ONCE)), _I64(1)), _AT_ONCE)
            )
            done = b.add(b.mul(groups, _I64(_AT_ONCE)), _I64(1))
            loop(b, b.sub(rank, done), [], lambda k: further(b.add(k, done), 1))
            begun = b.add(b.mul(i, columns), low)

            def end(j: Any) -> list[Any]:
                value = b.fmul(b.load(_at(b, sums, j), typ=_DOUBLE), scale)
                kind = _DOUBLE if product.wide else _FLOAT
                rounded = value if product.wide else b.fptrunc(value, _FLOAT)
                b.store(rounded, b.gep(out, [b.add(begun, j)], source_etype=kind))
                return []

            return loop(b, width, [], end)

        return loop(b, rows, [], row)

    tiles = b.sdiv(b.add(columns, _I64(_TILE - 1)), _I64(_TILE))
    loop(b, tiles, [], tile)
    b.ret(_I32(0))
    return str(module)


def _at(b: Any, pointer: Any, index: Any) -> Any:
    return b.gep(pointer, [index], inbounds=True, source_etype=_DOUBLE)
