"""What the fused kernels do to one element, as LLVM's instructions; each rounds once.

Nothing here may be contracted or reordered: an instruction without fast-math flags is computed as
it stands, on every processor. 16-bit formats are read and rounded with integers, since processors
differ in what they can do with them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llvmlite import ir

Kind = Literal["BF16", "F16", "F32", "F64"]  # a floating dtype, by its name in safetensors files
SUMS = 5  # doubles that a measuring kernel writes


@dataclass(frozen=True)
class Part:
    """One delta of a kernel: the kinds of its inputs.

    Attributes:
        minus: None where ``plus`` already is a difference.
        used: False where the coefficient is 0: the delta is looked at and not added, since adding
            0 would turn a target's -0.0 into 0.0.
    """

    plus: Kind
    minus: Kind | None = None
    used: bool = True


@dataclass(frozen=True)
class Signature:
    """What a kernel is made for: ``out ← target + Σ coefficient · (plus − minus)``.

    Attributes:
        target: None for the bare sum of differences, without their coefficients.
        out: what is rounded to; of a measuring kernel, what was written: one more input.
        wide: accumulate in float64, as wherever an input is float64.
        measures: sum up what was done, instead of doing it.
    """

    target: Kind | None
    parts: tuple[Part, ...]
    out: Kind
    wide: bool = False
    measures: bool = False

    @property
    def inputs(self) -> list[Kind]:
        """The kinds of the inputs, in the order in which the kernel takes them."""
        kinds = [self.target, *(kind for part in self.parts for kind in (part.plus, part.minus))]
        return [k for k in (*kinds, self.out if self.measures else None) if k is not None]


_BIT, _I16, _I32, _I64 = (ir.IntType(width) for width in (1, 16, 32, 64))
_FLOAT, _DOUBLE, _POINTER = ir.FloatType(), ir.DoubleType(), ir.PointerType()
_MEMORY = {"BF16": _I16, "F16": _I16, "F32": _I32, "F64": _I64}
_SIGN = 1 << 31
_INFINITE = {_FLOAT: 0xFF << 23, _DOUBLE: 0x7FF << 52}  # bits; above them are the NaNs
# The least magnitude, in bits of float32, that is or rounds to no finite number.
_LIMIT = {"BF16": 0x7F7F8000, "F16": 0x477FF000, "F32": _INFINITE[_FLOAT]}
_NAN = {"BF16": 0x7FC0, "F16": 0x7E00}


def module_of(signature: Signature) -> str:
    """The text of a module with one function, ``kernel``.

    A merging kernel takes the inputs, ``out``, the used parts' coefficients as doubles and the
    count of elements; it returns 0 if all that it wrote or looked at is finite. A measuring one
    takes the place of its sums for ``out``: of the squares of update and target, of what was
    written times the update, and the counts of elements to be changed, and left unchanged.
    """
    coefficients = [_DOUBLE] * sum(part.used for part in signature.parts)
    arguments = [*[_POINTER] * (len(signature.inputs) + 1), *coefficients, _I64]
    module = ir.Module("rvec_merge")
    function = ir.Function(module, ir.FunctionType(_I64, arguments), "kernel")
    for argument in function.args[: len(signature.inputs) + 1]:
        argument.add_attribute("noalias")
    (_measuring if signature.measures else _merging)(signature, function)
    return str(module)


def _merging(signature: Signature, function: Any) -> None:
    pointers, out, coefficients, count = _arguments(signature, function)
    acc = _DOUBLE if signature.wide else _FLOAT
    b = ir.IRBuilder(function.append_basic_block())
    factors = [b.fptrunc(c, _FLOAT) if acc == _FLOAT else c for c in coefficients]

    def body(index: Any, bad: Any) -> list[Any]:
        total, differences = _values(b, signature, pointers, index, acc)
        left = iter(factors)
        for part, difference in zip(signature.parts, differences, strict=True):
            if not part.used:
                bad = b.or_(bad, _strange(b, difference))
                continue
            factor = next(left)
            if signature.target is not None:
                difference = b.fmul(difference, factor)
            total = difference if total is None else b.fadd(total, difference)
        return [b.or_(bad, _store(b, total, out, index, signature.out))]

    (bad,) = loop(b, count, [_BIT(0)], body)
    b.ret(b.zext(bad, _I64))


def _measuring(signature: Signature, function: Any) -> None:
    pointers, sums, coefficients, count = _arguments(signature, function)
    acc = _DOUBLE if signature.wide else _FLOAT
    b = ir.IRBuilder(function.append_basic_block())

    def body(index: Any, *sums: Any) -> list[Any]:
        before, differences = _values(b, signature, pointers, index, acc)
        before, update = _cast(b, before, _DOUBLE), _DOUBLE(0)
        used = [d for part, d in zip(signature.parts, differences, strict=True) if part.used]
        for difference, coefficient in zip(used, coefficients, strict=True):
            update = b.fadd(update, b.fmul(_cast(b, difference, _DOUBLE), coefficient))
        after = load(b, pointers[-1], index, signature.out)
        written = b.fsub(_cast(b, after, _DOUBLE), before)
        moved = b.fcmp_unordered("!=", update, _DOUBLE(0))
        missed = b.and_(moved, b.fcmp_ordered("==", written, _DOUBLE(0)))
        grown = [b.fmul(x, y) for x, y in ((update, update), (before, before), (written, update))]
        grown += [b.uitofp(counted, _DOUBLE) for counted in (moved, missed)]
        return [b.fadd(one, more) for one, more in zip(sums, grown, strict=True)]

    for place, value in enumerate(loop(b, count, [_DOUBLE(0)] * SUMS, body)):
        b.store(value, b.gep(sums, [_I64(place)], source_etype=_DOUBLE))
    b.ret(_I64(0))


def _arguments(signature: Signature, function: Any) -> tuple[Any, Any, Any, Any]:
    """The inputs, what is written, the coefficients and the count."""
    given, inputs = function.args, len(signature.inputs)
    return given[:inputs], given[inputs], given[inputs + 1 : -1], given[-1]


def loop(b: Any, count: Any, first: Sequence[Any], body: Callable[..., Sequence[Any]]) -> list[Any]:
    """A loop over ``count`` elements that carries values on; returns the last ones."""
    before, within, after = b.block, b.append_basic_block(), b.append_basic_block()
    b.cbranch(b.icmp_signed(">", count, _I64(0)), within, after)
    b.position_at_end(within)
    index = b.phi(_I64)
    carried = [b.phi(value.type) for value in first]
    grown = body(index, *carried)
    latch = b.block  # another one, where the body has a loop of its own
    following = b.add(index, _I64(1), flags=["nuw", "nsw"])
    index.add_incoming(_I64(0), before)
    index.add_incoming(following, latch)
    b.cbranch(b.icmp_signed("<", following, count), within, after)
    b.position_at_end(after)
    last = [b.phi(value.type) for value in first]
    for phi, end, begun, next_ in zip(carried, last, first, grown, strict=True):
        phi.add_incoming(begun, before)
        phi.add_incoming(next_, latch)
        end.add_incoming(begun, before)
        end.add_incoming(next_, latch)
    return last


def _values(
    b: Any, signature: Signature, pointers: Sequence[Any], index: Any, acc: Any
) -> tuple[Any, list[Any]]:
    """The target, or None, and each part's difference."""
    values = (
        _cast(b, load(b, pointer, index, kind), acc)
        for pointer, kind in zip(pointers, signature.inputs, strict=True)
    )
    target = None if signature.target is None else next(values)
    differences = []
    for part in signature.parts:
        plus = next(values)
        differences.append(plus if part.minus is None else b.fsub(plus, next(values)))
    return target, differences


def load(b: Any, pointer: Any, index: Any, kind: Kind, lanes: int = 1) -> Any:
    """The elements from ``index`` on, as float32, or float64 where they are it."""
    memory, (single, word) = _MEMORY[kind], (vector(t, lanes) for t in (_FLOAT, _I32))
    place = b.gep(pointer, [index], inbounds=True, source_etype=memory)
    bits = b.load(place, align=1, typ=vector(memory, lanes))
    if memory != _I16:
        return b.bitcast(bits, vector(_DOUBLE, lanes) if kind == "F64" else single)
    bits = b.zext(bits, word)

    def n(value: float) -> Any:
        return number(word, value)

    if kind == "BF16":
        return b.bitcast(b.shl(bits, n(16)), single)
    size = b.and_(bits, n(0x7FFF))
    moved = b.shl(size, n(13))
    # A subnormal is a number of 2^-24ths.
    small = b.bitcast(b.fmul(b.sitofp(size, single), number(single, 2.0**-24)), word)
    plain = b.add(moved, n((127 - 15) << 23))
    plain = b.select(b.icmp_unsigned("<", size, n(1 << 10)), small, plain)
    endless = b.icmp_unsigned(">=", size, n(0x1F << 10))
    plain = b.select(endless, b.or_(moved, n(_INFINITE[_FLOAT])), plain)
    return b.bitcast(b.or_(plain, b.shl(b.and_(bits, n(1 << 15)), n(16))), single)


def vector(kind: Any, lanes: int) -> Any:
    """The type of so many values; of one, its own."""
    return kind if lanes == 1 else ir.VectorType(kind, lanes)


def number(kind: Any, value: float) -> Any:
    """A constant, in every lane of a vector."""
    lanes = kind.count if isinstance(kind, ir.VectorType) else 0
    return ir.Constant(kind, [value] * lanes if lanes else value)


def _store(b: Any, value: Any, pointer: Any, index: Any, kind: Kind) -> Any:
    """Round to a kind and write; returns whether what was written is not finite.

    From float64 to 16 bits by way of float32, as torch goes.
    """
    strange: Any
    if kind == "F64":
        strange = _strange(b, value)
        bits = b.bitcast(_cast(b, value, _DOUBLE), _I64)
    else:
        bits = b.bitcast(_cast(b, value, _FLOAT), _I32)
        size = b.and_(bits, _I32(_SIGN - 1))
        strange = b.icmp_unsigned(">=", size, _I32(_LIMIT[kind]))
    if _MEMORY[kind] == _I16:
        rounded = _nearest(b, size, 16) if kind == "BF16" else _half(b, size)
        nan = b.icmp_unsigned(">", size, _I32(_INFINITE[_FLOAT]))
        rounded = b.select(nan, _I32(_NAN[kind]), rounded)
        sign = b.and_(b.lshr(bits, _I32(16)), _I32(1 << 15))
        bits = b.trunc(b.or_(rounded, sign), _I16)
    place = b.gep(pointer, [index], inbounds=True, source_etype=_MEMORY[kind])
    b.store(bits, place, align=1)
    return strange


def _nearest(b: Any, size: Any, shift: int, offset: int = 0) -> Any:
    """``(size + offset) / 2^shift``, rounded to the nearest, of two to the even one."""
    odd = b.and_(b.lshr(size, _I32(shift)), _I32(1))
    below_half = _I32((offset + (1 << (shift - 1)) - 1) % (1 << 32))
    return b.lshr(b.add(b.add(size, below_half), odd), _I32(shift))


def _half(b: Any, size: Any) -> Any:
    plain = _nearest(b, size, 13, (15 - 127) << 23)
    # The last bit of a sum with 0.5 counts 2^-24, as a subnormal's does.
    half = _FLOAT(0.5)
    summed = b.bitcast(b.fadd(b.bitcast(size, _FLOAT), half), _I32)
    small = b.sub(summed, b.bitcast(half, _I32))
    plain = b.select(b.icmp_unsigned("<", size, _I32((127 - 14) << 23)), small, plain)
    endless = b.icmp_unsigned(">=", size, _I32((127 + 16) << 23))
    return b.select(endless, _I32(0x1F << 10), plain)


def _strange(b: Any, value: Any) -> Any:
    """Whether a value is NaN or infinite."""
    integer = _I64 if value.type == _DOUBLE else _I32
    size = b.and_(b.bitcast(value, integer), integer((1 << (integer.width - 1)) - 1))
    return b.icmp_unsigned(">=", size, integer(_INFINITE[value.type]))


def _cast(b: Any, value: Any, to: Any) -> Any:
    if value.type == to:
        return value
    return b.fpext(value, to) if to == _DOUBLE else b.fptrunc(value, to)
