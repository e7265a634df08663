"""How a merge is carried out, apart from what the recipe says."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from rvec_merge.declare import (
    Allowed,
    AllowPickle,
    Dequantize,
    Device,
    Option,
    TrustRemoteCode,
)

if TYPE_CHECKING:
    from mergekit.options import MergeOptions

SHARD_SIZE = 5_000_000_000  # bytes; mergekit's and the Hub's default
MOST_THREADS = 4  # more of them wait for memory, not for cores


@dataclass(frozen=True)
class Settings:
    """How a merge is carried out; mergekit's names where mergekit has them.

    Attributes:
        allowed: see ``preflight.configs.ALLOWABLE``.
        allow_pickle: mergekit loads them, with ``weights_only``.
        random_seed: ours has ``seed`` in the recipe.
        quiet: no progress bars from mergekit's executor.
    """

    device: Device = "cpu"
    num_threads: Annotated[
        int | None, Option("Default: cores, at most 4.", ("-j", "--num-threads"), least=1)
    ] = None
    shard_size: Annotated[
        int, Option("Largest output file.", ("--shard-size", "--out-shard-size"), size=True)
    ] = SHARD_SIZE
    copy_tokenizer: Annotated[bool, Option("Copy the target's tokenizer.")] = True
    overwrite: Annotated[bool, Option("Replace an earlier output, in one step.")] = False
    hash_files: Annotated[bool, Option("Record sha256 of local input files too.", ("--hash",))] = (
        False
    )
    allow_pickle: AllowPickle = False
    dequantize: Dequantize = False
    trust_remote_code: TrustRemoteCode = False
    allowed: Allowed = ()
    random_seed: Annotated[int | None, Option("For mergekit's own randomised methods.")] = None
    quiet: bool = True

    @property
    def workers(self) -> int:
        """Threads to work with."""
        return self.num_threads or min(os.cpu_count() or 1, MOST_THREADS)

    @property
    def device_here(self) -> str:
        """The device, ``auto`` resolved.

        Raises:
            EnvironmentProblem: there is no such device here.
        """
        from rvec_merge.arithmetic.device import device_named

        return device_named(self.device)

    def mergekit(self) -> "MergeOptions":
        """The same as mergekit's options."""
        from mergekit.options import MergeOptions

        return MergeOptions(
            device=self.device_here,
            num_threads=self.num_threads,
            out_shard_size=self.shard_size,
            copy_tokenizer=self.copy_tokenizer,
            trust_remote_code=self.trust_remote_code,
            random_seed=self.random_seed,
            quiet=self.quiet,
        )
