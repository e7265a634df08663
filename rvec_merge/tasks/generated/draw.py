"""Seeded items in three splits: an item's content decides which split may hold it."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import datasets

SPLITS: Mapping[str, range] = {
    "train": range(0, 70),
    "validation": range(70, 80),
    "test": range(80, 100),
}

Item = dict[str, Any]
Make = Callable[[random.Random], Item]


def split_of(key: str) -> str:
    """The split that owns an item's content, whatever words it is told in and whoever draws it."""
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def drawn(make: Make, split: str, seed: int, count: int) -> Iterator[Item]:
    """``count`` items of a split, no two with the same ``key``."""
    rng = random.Random(f"{split} {seed}")
    seen: set[str] = set()
    while len(seen) < count:
        item = make(rng)
        if item["key"] not in seen and split_of(item["key"]) == split:
            seen.add(item["key"])
            yield {"id": f"{split}-{len(seen) - 1:04d}", **item}


def dataset(make: Make, seed: int, sizes: Mapping[str, int]) -> datasets.DatasetDict:
    """Every split, as lm-eval reads one."""
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_list(list(drawn(make, split, seed, count)))
            for split, count in sizes.items()
        }
    )
