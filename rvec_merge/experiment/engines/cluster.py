"""Join a Ray cluster, or start one here, and find out how many workers it holds."""

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvec_merge.errors import EnvironmentProblem, why

_STORE = 256 << 20  # bytes; only finished cells' files pass through it


@dataclass(frozen=True)
class Sizing:
    """How large workers are, and how many.

    Attributes:
        cpus, gpus: of one worker; None for one GPU where the cluster has any.
        workers: None for as many as the cluster holds.
    """

    cpus: float = 1
    gpus: float | None = None
    workers: int | None = None


@dataclass(frozen=True)
class Cluster:
    """A cluster that was joined.

    Attributes:
        cpus, gpus: of one worker.
        workers: how many there will be.
    """

    cpus: float
    gpus: float
    workers: int

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"


@contextmanager
def joined(address: str | None, sizing: Sizing, *, patience: float = 30.0) -> Iterator[Cluster]:
    """Join the cluster at ``address`` (None starts one on this machine); leave it at the end.

    Args:
        patience: seconds until an address counts as unreachable.

    Raises:
        EnvironmentProblem: ray is not installed, the cluster cannot be reached, or it does not
            hold the workers asked for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise EnvironmentProblem(
            "The ray engine needs Ray, which is not installed.",
            [],
            'pip install "rvec-merge[ray]", on every machine of the cluster.',
        ) from None
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(
                "local", include_dashboard=False, object_store_memory=_STORE, **settings
            )  # nothing to wait for
        else:
            _join(address, settings, patience)
        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]
        yield fit(nodes, sizing)
    finally:
        ray.shutdown()


def fit(nodes: Sequence[Mapping[str, float]], sizing: Sizing) -> Cluster:
    """How many workers the nodes hold; a worker's CPUs and GPUs are on one node.

    Args:
        nodes: each node's resources, by Ray's names.
    """
    cpus, gpus = (sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU"))
    each = sizing.gpus if sizing.gpus is not None else float(gpus > 0)
    room = sum(
        int(
            min(
                node.get("CPU", 0) / sizing.cpus,
                # Ray counts resources in ten-thousandths; 1 / (1/3) must not become 2.99.
                (node.get("GPU", 0) / each + 1e-4) if each else float("inf"),
            )
        )
        for node in nodes
    )
    asked = sizing.workers or 1
    if room < asked:
        raise EnvironmentProblem(
            "The cluster does not hold the workers asked for.",
            [
                f"asked for: {asked}, each with {sizing.cpus:g} CPU and {each:g} GPU",
                f"there are: {cpus:g} CPU and {gpus:g} GPU on {len(nodes)} nodes: {room} fit",
            ],
            "lower --workers, --gpus-per-worker or --cpus-per-worker, or add nodes.",
        )
    return Cluster(sizing.cpus, each, sizing.workers or room)


def _join(address: str, settings: Mapping[str, Any], patience: float) -> None:
    import ray

    deadline = time.monotonic() + patience
    where = _resolve(address)
    tried = [f"--address {address}" + ("" if where in address else f", which is {where}")]
    # Asked by hand first: on a dead address Ray waits for a minute, and then ends the process.
    refused = _knock(where, deadline)
    if refused is None:
        failed: list[BaseException] = []

        def connect() -> None:
            try:
                ray.init(address if "://" in address else where, **settings)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(max(deadline - time.monotonic(), 1))
        if not thread.is_alive() and not failed:
            return
        refused = str(failed[0]).strip() if failed else "it answers, but not as a Ray cluster"
    raise EnvironmentProblem(
        "The Ray cluster cannot be reached.",
        [*tried, *refused.splitlines()[:4], f"gave up after {patience:g} s"],
        "start it (ray start --head), or correct --address; without it, a cluster starts here.",
    )


def _resolve(address: str) -> str:
    """``host:port`` of an address; ``auto`` is what RAY_ADDRESS or this machine's Ray says."""
    if address == "auto":
        note = Path(
            os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "ray/ray_current_cluster"
        )
        address = os.environ.get("RAY_ADDRESS") or (note.read_text() if note.is_file() else "")
        if not address:
            raise EnvironmentProblem(
                "No Ray cluster runs on this machine.",
                ["--address auto", "RAY_ADDRESS is not set", f"{note} does not exist"],
                "start one (ray start --head), or leave --address out.",
            )
    where = address.removeprefix("ray://").strip()
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit():
        raise EnvironmentProblem(
            "This is no address of a Ray cluster.",
            [f"--address {address}"],
            "write auto, HOST:PORT (ray start prints it) or ray://HOST:10001.",
        )
    return where


def _knock(where: str, deadline: float) -> str | None:
    """Why nothing listens at ``where`` until the deadline; None once something does."""
    host, _, port = where.rpartition(":")
    while True:
        left = deadline - time.monotonic()
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=max(left, 0.1)).close()
            return None
        except OSError as error:
            if time.monotonic() + 1 > deadline:
                return f"{where}: {why(error)}"
            time.sleep(min(1.0, max(left, 0)))
