"""A product of two factors, some rows and columns at a time, as LLVM's instructions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from rvec_merge.arithmetic.ir import loop, vector

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_FLOAT, _DOUBLE, _POINTER = ir.FloatType(), ir.DoubleType(), ir.PointerType()
ROWS = 6  # whose sums are kept in registers, for the columns of a strip, while the rank is walked


@dataclass(frozen=True)
class Product:
    """What a kernel is made for: ``out ← scale · left @ right``, rounded once.

    Attributes:
        wide: the result is float64, as where a factor is; else float32, and the factors hold
            values of float32: their products are exact, so that multiply and add may be one step.
        strip: columns that are computed together: 6 by 8 sums take twelve registers of 256 bits, of
            sixteen; 6 by 16 as many of 512, of thirty-two.
    """

    wide: bool
    strip: int = 8


def product_module(product: Product) -> str:
    """The text of a module with one function, ``kernel``.

    It takes ``left`` (rows, rank), ``right`` (⌈columns / strip⌉, rank, strip) and ``out`` (rows,
    columns), the first two in float64, then the scale, rows, columns and rank, at least 1; it
    returns 0. Each element is summed in float64 over the rank, in ascending order.
    """
    module = ir.Module("rvec_merge")
    kinds = [_POINTER, _POINTER, _POINTER, _DOUBLE, _I64, _I64, _I64]
    function = ir.Function(module, ir.FunctionType(_I64, kinds), "kernel")
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    b = ir.IRBuilder(function.append_basic_block())
    kernel = _Kernel(b, product, *function.args)
    # A strip of the right factor stays in the nearest cache while all rows meet it.
    strips = b.sdiv(kernel.columns, _I64(product.strip))
    loop(b, strips, [], lambda s: kernel.strip(s, _I64(0), product.strip))
    rest = b.srem(kernel.columns, _I64(product.strip))
    loop(b, rest, [], lambda lane: kernel.strip(strips, lane, 1))
    b.ret(_I64(0))
    return str(module)


@dataclass(frozen=True)
class _Kernel:
    """Writes the instructions; the fields are what it writes with, and the function's arguments."""

    b: Any
    product: Product
    left: Any
    right: Any
    out: Any
    scale: Any
    rows: Any
    columns: Any
    rank: Any

    def strip(self, strip: Any, lane: Any, lanes: int) -> list[Any]:
        """All rows of so many columns of a strip, from ``lane`` on."""
        b = self.b
        groups = b.sdiv(self.rows, _I64(ROWS))
        loop(b, groups, [], lambda g: self._tile(b.mul(g, _I64(ROWS)), ROWS, strip, lane, lanes))
        done = b.mul(groups, _I64(ROWS))
        rest = b.sub(self.rows, done)
        return loop(b, rest, [], lambda i: self._tile(b.add(done, i), 1, strip, lane, lanes))

    def _tile(self, first: Any, count: int, strip: Any, lane: Any, lanes: int) -> list[Any]:
        b = self.b
        flags = () if self.product.wide else ("contract",)
        rows = [b.add(first, _I64(n)) for n in range(count)]
        size = _I64(self.product.strip)
        column = b.add(b.mul(strip, size), lane)

        def terms(k: Any) -> tuple[Any, Sequence[Any]]:
            place = b.add(b.mul(b.add(b.mul(strip, self.rank), k), size), lane)
            values = b.load(self._at(self.right, place), align=8, typ=vector(_DOUBLE, lanes))
            factors = [
                b.load(self._at(self.left, b.add(b.mul(i, self.rank), k)), align=8, typ=_DOUBLE)
                for i in rows
            ]
            return values, [self._spread(factor, lanes) for factor in factors]

        values, factors = terms(_I64(0))
        begun = [b.fmul(factor, values) for factor in factors]

        def add(k: Any, *sums: Any) -> list[Any]:
            values, factors = terms(b.add(k, _I64(1)))
            more = [b.fmul(factor, values, flags=flags) for factor in factors]
            return [b.fadd(s, m, flags=flags) for s, m in zip(sums, more, strict=True)]

        sums = loop(b, b.sub(self.rank, _I64(1)), begun, add)
        scale = self._spread(self.scale, lanes)
        wide = self.product.wide
        kind = _DOUBLE if wide else _FLOAT
        for row, total in zip(rows, sums, strict=True):
            value = b.fmul(total, scale)
            value = value if wide else b.fptrunc(value, vector(_FLOAT, lanes))
            place = b.add(b.mul(row, self.columns), column)
            pointer = b.gep(self.out, [place], inbounds=True, source_etype=kind)
            b.store(value, pointer, align=8 if wide else 4)
        return []

    def _at(self, pointer: Any, index: Any) -> Any:
        return self.b.gep(pointer, [index], inbounds=True, source_etype=_DOUBLE)

    def _spread(self, value: Any, lanes: int) -> Any:
        """A value in every lane."""
        if lanes == 1:
            return value
        kind = ir.VectorType(_DOUBLE, lanes)
        one = self.b.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
        mask = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
        return self.b.shuffle_vector(one, ir.Constant(kind, ir.Undefined), mask)
