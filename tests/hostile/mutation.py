"""Valid bytes, spoiled: the same seed spoils them the same way."""

import json
import random
from typing import Any

STRANGE: list[Any] = [
    None, True, -1, 0, 1.5, 1 << 31, 1 << 64, 10**300, float("nan"), "", "x", "../x", "\ud800",
    "F64", [], {}, [[]], [0] * 99,
]  # fmt: skip
PIECES = (
    b"", b"\0", b"\xff\xfe", b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"\n", b"- ", b"&a ", b"*a",
    b": ", b'"', b"}", b"\xff" * 8, b"\x80\0\0\0\0\0\0\0",
)  # fmt: skip


def spoiled(valid: bytes, seed: int) -> bytes:
    """One to three changes: of bytes, of length, of text, or of a value where there is JSON."""
    chance = random.Random(seed)
    ways = [_flip, _cut, _splice, _value, _value]
    for _ in range(chance.randint(1, 3)):
        valid = chance.choice(ways)(valid, chance)
    return valid


def _flip(data: bytes, chance: random.Random) -> bytes:
    new = bytearray(data)
    for _ in range(chance.randint(1, 5) if new else 0):
        new[chance.randrange(len(new))] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
    return bytes(new)


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)] if chance.random() < 0.7 else data + b"x" * 9


def _splice(data: bytes, chance: random.Random) -> bytes:
    at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:at] + chance.choice([*PIECES, data[at:end] * 3]) + data[end:]


def _value(data: bytes, chance: random.Random) -> bytes:
    """Replace a value of the JSON in the data, after a length of eight bytes or after one byte."""
    for start, end in ((8, 8 + int.from_bytes(data[:8], "little")), (0, None), (1, None)):
        try:
            held = json.loads(data[start:end])
        except (ValueError, RecursionError):
            continue
        _change(held, chance)
        text = json.dumps(held).encode()
        length = len(text).to_bytes(8, "little") if start == 8 else data[:start]
        return length + text + (data[end:] if end else b"")
    return _flip(data, chance)


def _change(held: Any, chance: random.Random) -> None:
    """Descend at random, and change what is there."""
    while isinstance(held, dict | list) and held:
        key = chance.choice(list(held)) if isinstance(held, dict) else chance.randrange(len(held))
        inner = held[key]
        if not isinstance(inner, dict | list) or not inner or chance.random() < 0.2:
            if isinstance(held, dict) and chance.random() < 0.2:
                held[str(chance.choice(STRANGE)).encode("utf-8", "replace").decode()] = held.pop(
                    key
                )
            else:
                held[key] = chance.choice(STRANGE)
            return
        held = inner
