"""Packing blocks of differences and taking them apart, as LLVM's instructions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from rvec_merge.arithmetic.ir import Kind, load, loop, number, vector

LANES = 16  # elements a step; the counts of `Squeeze`, `Squares` and `Spread` are multiples of it
SUMS = ("kept", "inexact", "one_ulp", "largest", "squares", "weight_squares")

_BIT, _BYTE, _I16, _I64 = (ir.IntType(width) for width in (1, 8, 16, 64))
_DOUBLE, _POINTER = ir.DoubleType(), ir.PointerType()


@dataclass(frozen=True)
class Squeeze:
    """Keep what is not +0.0 of ``plus − minus``, and measure it.

    It takes the inputs, a bitmap (least significant bit first), two byte planes and the kept bits,
    each with room for ``LANES`` more, and the ``SUMS`` as doubles: what was kept, what bfloat16
    does not hold, pairs of one 16-bit format that are neighbours in it, the largest magnitude, and
    the squares of the difference and of ``minus``: added up in ascending order in each lane of a
    register of 512 bits of the difference, then lane after lane.

    Attributes:
        plus, minus: the kinds of the inputs; ``minus`` is None where ``plus`` is the difference.
    """

    plus: Kind
    minus: Kind | None

    @property
    def bits(self) -> int:
        """Of an element of the difference."""
        return 64 if "F64" in (self.plus, self.minus) else 32

    @property
    def pointers(self) -> int:
        """How many addresses the kernel takes."""
        return 6 if self.minus is None else 7

    def write(self, b: Any, *arguments: Any) -> None:
        """Write the kernel's instructions."""
        *inputs, bitmap, first, second, kept, sums, count = arguments
        lanes = 512 // self.bits  # one register of x86's widest
        word = ir.IntType(self.bits)
        words, doubles = vector(word, lanes), vector(_DOUBLE, lanes)
        mask = ir.IntType(lanes)
        name = f"llvm.experimental.vector.compress.v{lanes}i{self.bits}"
        compressed = ir.FunctionType(words, [words, vector(_BIT, lanes), words])
        compress = ir.Function(b.module, compressed, name)
        ones = ir.Function(b.module, ir.FunctionType(mask, [mask]), f"llvm.ctpop.i{lanes}")
        largest_of = ir.Function(
            b.module, ir.FunctionType(words, [words, words]), f"llvm.umax.v{lanes}i{self.bits}"
        )

        def counted(marks: Any) -> Any:
            return b.zext(b.call(ones, [b.bitcast(marks, mask)]), _I64)

        def body(group: Any, *so_far: Any) -> list[Any]:
            written, inexact, steps, largest, squares, weights = so_far
            at = b.mul(group, _I64(lanes))
            value, weight = self._difference(b, inputs, at, lanes)
            bits = b.bitcast(value, words)
            present = b.icmp_unsigned("!=", bits, number(words, 0))
            packed = b.call(compress, [bits, present, ir.Constant(words, ir.Undefined)])
            b.store(packed, _at(b, kept, word, written), align=self.bits // 8)
            for plane, shift in ((first, self.bits - 8), (second, self.bits - 16)):
                byte = b.trunc(b.lshr(packed, number(words, shift)), vector(_BYTE, lanes))
                b.store(byte, _at(b, plane, _BYTE, written), align=1)
            b.store(b.bitcast(present, mask), _at(b, bitmap, mask, group), align=1)
            low = b.and_(bits, number(words, (1 << (self.bits - 16)) - 1))
            low = b.icmp_unsigned("!=", low, number(words, 0))
            size = b.and_(bits, number(words, (1 << (self.bits - 1)) - 1))
            return [
                b.add(written, counted(present)),
                b.add(inexact, counted(low)),
                steps if self.steps is None else b.add(steps, counted(self._near(b, inputs, at))),
                b.call(largest_of, [largest, size]),
                b.fadd(squares, _squared(b, value, doubles)),
                weights if weight is None else b.fadd(weights, _squared(b, weight, doubles)),
            ]

        zero = number(doubles, 0.0)
        first_ = [_I64(0), _I64(0), _I64(0), number(words, 0), zero, zero]
        found = loop(b, b.sdiv(count, _I64(lanes)), first_, body)
        found = [b.uitofp(n, _DOUBLE) for n in found[:3]] + found[3:]
        _store_sums(b, found, sums, lanes, self.bits)
        b.ret(_I64(0))

    @property
    def steps(self) -> Kind | None:
        """The 16-bit format of both inputs, if there is one."""
        return self.plus if self.plus == self.minus and self.plus in ("BF16", "F16") else None

    def _difference(self, b: Any, inputs: Sequence[Any], at: Any, lanes: int) -> tuple[Any, Any]:
        wide = vector(_DOUBLE if self.bits == 64 else ir.FloatType(), lanes)
        plus = _widened(b, load(b, inputs[0], at, self.plus, lanes), wide)
        if self.minus is None:
            return plus, None
        minus = _widened(b, load(b, inputs[1], at, self.minus, lanes), wide)
        return b.fsub(plus, minus), minus

    def _near(self, b: Any, inputs: Sequence[Any], at: Any) -> Any:
        """Where the bits of the inputs, as integers, differ by one."""
        halves = vector(_I16, LANES)
        one, other = (b.load(_at(b, p, _I16, at), align=1, typ=halves) for p in inputs)
        # -1, 0 and 1 become 0, 1 and 2.
        step = b.add(b.sub(one, other), number(halves, 1))
        return b.icmp_unsigned("==", b.and_(step, number(halves, 0xFFFD)), number(halves, 0))


@dataclass(frozen=True)
class Squares:
    """The sum of squares, in ``LANES`` doubles, each of every ``LANES``-th element, in order."""

    kind: Kind
    pointers = 2  # the values and the sums

    def write(self, b: Any, values: Any, sums: Any, count: Any) -> None:
        """Write the kernel's instructions."""
        doubles = vector(_DOUBLE, LANES)

        def body(group: Any, total: Any) -> list[Any]:
            found = load(b, values, b.mul(group, _I64(LANES)), self.kind, LANES)
            return [b.fadd(total, _squared(b, found, doubles))]

        (total,) = loop(b, b.sdiv(count, _I64(LANES)), [number(doubles, 0.0)], body)
        b.store(total, sums, align=8)
        b.ret(_I64(0))


@dataclass(frozen=True)
class Spread:
    """The reverse of `Squeeze`: bits of ``out`` from a bitmap and what was kept.

    It looks at one kept value more than is marked, and returns how many are.

    Attributes:
        bits: of a value.
        expands: a register is expanded by a mask, where processors have it (AVX-512); it would be
            a branch for each value elsewhere.
    """

    bits: int
    expands: bool
    pointers = 3

    def write(self, b: Any, bitmap: Any, kept: Any, out: Any, count: Any) -> None:
        """Write the kernel's instructions."""
        word, lanes = ir.IntType(self.bits), 512 // self.bits if self.expands else 8
        expand = self._expander(b, word, lanes) if self.expands else None

        def body(group: Any, read: Any) -> list[Any]:
            marks = b.load(_at(b, bitmap, ir.IntType(lanes), group), align=1, typ=ir.IntType(lanes))
            place = _at(b, out, word, b.mul(group, _I64(lanes)))
            if expand:
                return [b.add(read, expand(marks, _at(b, kept, word, read), place))]
            for lane in range(lanes):
                # Without a branch: which values are zero cannot be predicted.
                mark = b.trunc(b.lshr(marks, marks.type(lane)), _BIT)
                value = b.load(_at(b, kept, word, read), align=self.bits // 8, typ=word)
                value = b.select(mark, value, word(0))
                b.store(value, _at(b, place, word, _I64(lane)), align=self.bits // 8)
                read = b.add(read, b.zext(mark, _I64))
            return [read]

        b.ret(loop(b, b.sdiv(count, _I64(lanes)), [_I64(0)], body)[0])

    def _expander(self, b: Any, word: Any, lanes: int) -> Callable[[Any, Any, Any], Any]:
        words, mask = vector(word, lanes), ir.IntType(lanes)
        ones = ir.Function(b.module, ir.FunctionType(mask, [mask]), f"llvm.ctpop.i{lanes}")
        kind = ir.FunctionType(words, [_POINTER, vector(_BIT, lanes), words])
        name = f"llvm.masked.expandload.v{lanes}i{self.bits}"
        load_marked = ir.Function(b.module, kind, name)

        def expand(marks: Any, kept: Any, place: Any) -> Any:
            marked = b.bitcast(marks, vector(_BIT, lanes))
            values = b.call(load_marked, [kept, marked, number(words, 0)])
            b.store(values, place, align=self.bits // 8)
            return b.zext(b.call(ones, [marks]), _I64)

        return expand


@dataclass(frozen=True)
class Join:
    """Values from their bytes, one plane of each; the most significant plane comes first."""

    bits: int
    planes: int

    @property
    def pointers(self) -> int:
        """How many addresses the kernel takes."""
        return self.planes + 1

    def write(self, b: Any, *arguments: Any) -> None:
        """Write the kernel's instructions."""
        *planes, out, count = arguments
        word = ir.IntType(self.bits)

        def body(index: Any) -> list[Any]:
            value = word(0)
            for place, plane in enumerate(planes):
                byte = b.zext(b.load(_at(b, plane, _BYTE, index), align=1, typ=_BYTE), word)
                value = b.or_(value, b.shl(byte, word(self.bits - 8 * (place + 1))))
            b.store(value, _at(b, out, word, index), align=self.bits // 8)
            return []

        loop(b, count, [], body)
        b.ret(_I64(0))


Packing = Squeeze | Squares | Spread | Join


def packing_module(packing: Packing) -> str:
    """The text of a module with one function, ``kernel``: the addresses, and a count."""
    module = ir.Module("rvec_merge")
    kinds = [*[_POINTER] * packing.pointers, _I64]
    function = ir.Function(module, ir.FunctionType(_I64, kinds), "kernel")
    for argument in function.args[:-1]:
        argument.add_attribute("noalias")
    packing.write(ir.IRBuilder(function.append_basic_block()), *function.args)
    return str(module)


def _store_sums(b: Any, found: Sequence[Any], sums: Any, lanes: int, bits: int) -> None:
    """The counts, the largest, and the squares lane after lane."""
    kept, inexact, steps, sizes, *squares = found
    size = b.extract_element(sizes, _I64(0))
    for lane in range(1, lanes):
        other = b.extract_element(sizes, _I64(lane))
        size = b.select(b.icmp_unsigned(">", other, size), other, size)
    largest = b.bitcast(size, _DOUBLE if bits == 64 else ir.FloatType())
    values = [kept, inexact, steps, _widened(b, largest, _DOUBLE)]
    for lanewise in squares:
        total = b.extract_element(lanewise, _I64(0))
        for lane in range(1, lanes):
            total = b.fadd(total, b.extract_element(lanewise, _I64(lane)))
        values.append(total)
    for place, value in enumerate(values):
        b.store(value, _at(b, sums, _DOUBLE, _I64(place)), align=8)


def _squared(b: Any, value: Any, doubles: Any) -> Any:
    wide = _widened(b, value, doubles)
    return b.fmul(wide, wide)


def _widened(b: Any, value: Any, to: Any) -> Any:
    return value if value.type == to else b.fpext(value, to)


def _at(b: Any, pointer: Any, kind: Any, index: Any) -> Any:
    return b.gep(pointer, [index], inbounds=True, source_etype=kind)
