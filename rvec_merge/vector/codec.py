"""One block of a compact vector: the presence bitmap, the values' byte planes, zstd.

``docs/vector-format.md`` describes the bytes. Blocks know nothing of each other, so any window of a
tensor is decoded without the rest. Nothing is allocated that the block's own element count does not
bound, whatever the bytes say.
"""

import struct
from collections.abc import Iterator
from itertools import accumulate, pairwise
from math import log2
from threading import local
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from rvec_merge.arithmetic.buffers import take
from rvec_merge.arithmetic.dtypes import Bits, Bytes

if TYPE_CHECKING:
    from rvec_merge.arithmetic.packing import Squeezed

BLOCK = 1 << 18  # elements; part of the format
HEAD_PLANES = 2  # the bytes that a value exact in bfloat16 needs

_HEADER = struct.Struct("<BBHII")
_SPARSE, _DENSE = 1, 2
_NO_TAIL, _LISTED_TAIL, _PLANE_TAIL = 0, 1, 2
_TRY_DENSE = 0.9  # density above which the bitmap may cost more than the zeros it saves
_POSITION = np.dtype("<u4")
_thread = local()  # a zstd context belongs to one thread


class CorruptBlockError(ValueError):
    """A block's bytes contradict themselves or the element count; ``read`` names the tensor."""


class Encoder:
    """Encodes blocks at one compression level.

    Args:
        level: a zstd level. None: match only runs and leave the rest to entropy coding. The bytes
            of a weight difference hardly repeat, so that looking for matches costs time and, by
            the offsets it writes, space.
    """

    def __init__(self, level: int | None = None) -> None:
        self._level = level
        self._local = local()

    def encode(self, found: "Squeezed") -> bytes:
        """The bytes of a block of up to ``BLOCK`` elements; none where every one is +0.0."""
        values = found.values
        if not values.size:
            return b""
        inexact = np.empty(0, np.intp)
        if found.inexact:
            low_bits = 8 * (values.itemsize - HEAD_PLANES)
            inexact = np.flatnonzero((values & values.dtype.type((1 << low_bits) - 1)) != 0)
        data = self._block(_SPARSE, values, inexact, [found.bitmap, *found.planes])
        if values.size > _TRY_DENSE * found.elements:
            present = np.unpackbits(found.bitmap, count=found.elements, bitorder="little").view(
                np.bool_
            )
            bits = np.zeros(found.elements, values.dtype)
            bits[present] = values
            planes = _planes(bits)[:HEAD_PLANES]
            dense = self._block(_DENSE, bits, np.flatnonzero(present)[inexact], planes)
            data = min(data, dense, key=len)
        return data

    def _block(
        self, kind: int, values: Bits, inexact: NDArray[np.intp], sections: list[Bytes]
    ) -> bytes:
        tails = _planes(values)[HEAD_PLANES:]
        tail, listed = _NO_TAIL, 0
        if inexact.size * (_POSITION.itemsize + len(tails)) >= values.size * len(tails):
            tail = _PLANE_TAIL
            sections += tails
        elif inexact.size:
            tail, listed = _LISTED_TAIL, inexact.size
            gaps = np.diff(inexact, prepend=0).astype(_POSITION)
            listing = [*_planes(gaps), *(plane[inexact] for plane in tails)]
            sections.append(np.concatenate(listing))
        packed = [self._zstd.compress(np.ascontiguousarray(section).data) for section in sections]
        header = _HEADER.pack(kind, tail, 0, values.size, listed)
        sizes = struct.pack(f"<{len(packed)}I", *map(len, packed))
        return b"".join([header, sizes, *packed])

    @property
    def _zstd(self) -> zstandard.ZstdCompressor:
        if not hasattr(self._local, "zstd"):
            self._local.zstd = zstandard.ZstdCompressor(compression_params=_parameters(self._level))
        compressor: zstandard.ZstdCompressor = self._local.zstd
        return compressor


def decode(data: bytes, count: int, dtype: np.dtype[np.uint32] | np.dtype[np.uint64]) -> Bits:
    """The bits of a block's ``count`` values.

    Dtypes: uint32 for float32 values, uint64 for float64.

    Raises:
        CorruptBlockError: the bytes are not a block of ``count`` such values.
    """
    # Here, since a stock run that looks at a vector's head needs no compiler.
    from rvec_merge.arithmetic.packing import SPARE, join, spread

    if not data:
        return np.zeros(count, dtype)
    width = dtype.itemsize
    kind, tail, stored, listed, sections = _sections(data, count, width)
    if kind == _DENSE and stored != count:
        raise CorruptBlockError(f"{stored} values for {count} elements")
    bitmap = _inflate(next(sections), -(-count // 8)) if kind == _SPARSE else None
    values: Bits = take(count + SPARE, dtype)
    planes = width if tail == _PLANE_TAIL else HEAD_PLANES
    join([_inflate(next(sections), stored) for _ in range(planes)], values)
    if tail == _LISTED_TAIL:
        at = listed * _POSITION.itemsize
        listing = _inflate(next(sections), at + listed * (width - HEAD_PLANES))
        rows = _positions(listing[:at], stored)
        columns = values.view(np.uint8).reshape(-1, width)[:, ::-1]
        columns[rows, HEAD_PLANES:] = listing[at:].reshape(-1, listed).T
    if bitmap is None:
        return values[:count]
    bits, marked = spread(bitmap, values, count)
    beyond = count % 8 and bitmap[-1] >> count % 8
    if marked != stored or beyond:
        raise CorruptBlockError(f"the bitmap marks {marked} values of {stored}")
    return bits


def _sections(data: bytes, count: int, width: int) -> tuple[int, int, int, int, Iterator[bytes]]:
    """A block's (kind, tail, values, listed), and its sections, still compressed."""
    try:
        kind, tail, reserved, values, listed = _HEADER.unpack_from(data)
        known = kind in (_SPARSE, _DENSE) and tail in (_NO_TAIL, _LISTED_TAIL, _PLANE_TAIL)
        known = known and (listed > 0) == (tail == _LISTED_TAIL)
        if not known or reserved or not 0 < values <= count or listed > values:
            raise CorruptBlockError("the header makes no sense")
        number = (kind == _SPARSE) + (width if tail == _PLANE_TAIL else HEAD_PLANES)
        number += tail == _LISTED_TAIL
        sizes = struct.unpack_from(f"<{number}I", data, _HEADER.size)
    except struct.error:
        raise CorruptBlockError("the header makes no sense") from None
    ends = [*accumulate(sizes, initial=_HEADER.size + 4 * number)]
    if ends[-1] != len(data):
        raise CorruptBlockError(f"the sections end at {ends[-1]} of {len(data)} bytes")
    sections = (data[low:high] for low, high in pairwise(ends))
    return kind, tail, values, listed, sections


def _inflate(data: bytes, size: int) -> Bytes:
    """Decompress what must come to ``size`` bytes; a frame that promises more is not opened."""
    try:
        promised = zstandard.get_frame_parameters(data).content_size
        if promised != size:
            raise CorruptBlockError(f"a section holds {promised} bytes instead of {size}")
        plain = _decompressor().decompress(data, max_output_size=size, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise CorruptBlockError(f"{error}") from None
    if len(plain) != size:
        raise CorruptBlockError(f"a section holds {len(plain)} bytes instead of {size}")
    return np.frombuffer(plain, np.uint8)


def _positions(planes: Bytes, values: int) -> NDArray[np.int64]:
    """Where the listed values stand among all of a block's, from the gaps' byte planes."""
    gaps = np.ascontiguousarray(planes.reshape(_POSITION.itemsize, -1)[::-1].T).view(_POSITION)
    positions = np.cumsum(gaps[:, 0], dtype=np.int64)
    if (gaps[1:] == 0).any() or positions[-1] >= values:
        raise CorruptBlockError("a listed value stands outside the block")
    return positions


def _planes(values: NDArray[np.unsignedinteger[Any]]) -> list[Bytes]:
    """The values' bytes, one array per significance, most significant first."""
    return list(values.view(np.uint8).reshape(-1, values.itemsize).T[::-1])


def _parameters(level: int | None) -> zstandard.ZstdCompressionParameters:
    if level is not None:
        return zstandard.ZstdCompressionParameters.from_level(level, write_checksum=True)
    # The smallest table and the longest minimum: what repeats at once is found, nothing else.
    return zstandard.ZstdCompressionParameters.from_level(
        1,
        strategy=zstandard.STRATEGY_FAST,
        min_match=zstandard.MINMATCH_MAX,
        hash_log=zstandard.HASHLOG_MIN,
        window_log=round(log2(BLOCK)),
        write_checksum=True,
    )


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_thread, "decompressor"):
        _thread.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _thread.decompressor
    return decompressor
