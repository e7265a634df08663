"""How a merge is carried out, apart from what the recipe says."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rvec_merge.arithmetic.device import device_named

if TYPE_CHECKING:
    from mergekit.options import MergeOptions

SHARD_SIZE = 5_000_000_000  # bytes; mergekit's and the Hub's default
MOST_THREADS = 4  # more of them wait for memory, not for cores


@dataclass(frozen=True)
class Settings:
    """How a merge is carried out; mergekit's names where mergekit has them.

    Attributes:
        device: where the arithmetic is done.
        num_threads: blocks that are worked on at once; None for one per core, at most four.
        shard_size: bytes per output file.
        copy_tokenizer: copy the target's tokenizer.
        trust_remote_code: run code that a model's folder brings along.
        random_seed: for mergekit's own randomised methods; ours has ``seed`` in the recipe.
        allowed: settings in which the inputs' configs may differ (``preflight.ALLOWABLE``).
        allow_pickle: leave pickled inputs to mergekit, which loads them with ``weights_only``.
        overwrite: replace an earlier output.
        hash_files: record the sha256 of local inputs too, which means reading them once more.
        quiet: no progress bars from mergekit's executor.
    """

    device: str = "cpu"
    num_threads: int | None = None
    shard_size: int = SHARD_SIZE
    copy_tokenizer: bool = True
    trust_remote_code: bool = False
    random_seed: int | None = None
    allowed: tuple[str, ...] = ()
    allow_pickle: bool = False
    overwrite: bool = False
    hash_files: bool = False
    quiet: bool = True

    @property
    def workers(self) -> int:
        """Threads to work with."""
        return self.num_threads or min(os.cpu_count() or 1, MOST_THREADS)

    @property
    def torch_device(self) -> torch.device:
        """The device, ``auto`` resolved.

        Raises:
            EnvironmentProblem: there is no such device here.
        """
        return device_named(self.device)

    def mergekit(self) -> "MergeOptions":
        """The same as mergekit's options."""
        from mergekit.options import MergeOptions

        return MergeOptions(
            device=str(self.torch_device),
            num_threads=self.num_threads,
            out_shard_size=self.shard_size,
            copy_tokenizer=self.copy_tokenizer,
            trust_remote_code=self.trust_remote_code,
            random_seed=self.random_seed,
            quiet=self.quiet,
        )
