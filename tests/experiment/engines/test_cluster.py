"""Which workers a Ray cluster holds, and clusters that cannot be had."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("ray")

from rvec_merge.cli import rvec
from rvec_merge.errors import EnvironmentProblem
from rvec_merge.experiment.engines.cluster import Cluster, Sizing, fit, joined


@pytest.mark.parametrize(
    ("nodes", "sizing", "expected"),
    [
        ([{"CPU": 2}], Sizing(), Cluster(1, 0, 2)),
        ([{"CPU": 3}, {"CPU": 5}], Sizing(cpus=2), Cluster(2, 0, 3)),
        ([{"CPU": 3}, {"CPU": 5}], Sizing(cpus=2, workers=2), Cluster(2, 0, 2)),
        ([{"CPU": 64, "GPU": 8}, {"CPU": 4}], Sizing(), Cluster(1, 1, 8)),
        ([{"CPU": 64, "GPU": 8}], Sizing(gpus=0), Cluster(1, 0, 64)),
        ([{"CPU": 64, "GPU": 8}] * 2, Sizing(gpus=4), Cluster(1, 4, 4)),
        ([{"CPU": 64, "GPU": 1}], Sizing(gpus=1 / 3), Cluster(1, 1 / 3, 3)),
    ],
)
def test_how_many_workers_fit(
    nodes: list[dict[str, float]], sizing: Sizing, expected: Cluster
) -> None:
    assert fit(nodes, sizing) == expected


@pytest.mark.parametrize(
    ("nodes", "sizing"),
    [
        ([{"CPU": 2}], Sizing(workers=3)),
        ([{"CPU": 2}], Sizing(gpus=1)),
        ([{"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}], Sizing(gpus=2)),
        ([{"CPU": 1}, {"CPU": 1}], Sizing(cpus=2)),
    ],
)
def test_more_than_there_is(nodes: list[dict[str, float]], sizing: Sizing) -> None:
    with pytest.raises(EnvironmentProblem, match="does not hold the workers"):
        fit(nodes, sizing)


def experiment_on_ray(plan: Path, out: Path, *more: str) -> EnvironmentProblem:
    arguments = ["experiment", str(plan), "-o", str(out), "--engine", "ray", *more]
    done = CliRunner().invoke(rvec, arguments)
    assert isinstance(done.exception, EnvironmentProblem), done.output
    assert not out.exists()
    return done.exception


def test_ray_is_not_installed(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    found = experiment_on_ray(plan_file(), tmp_path / "out")
    assert 'pip install "rvec-merge[ray]"' in found.fix


def test_an_address_that_is_none(
    plan_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = experiment_on_ray(plan_file(), tmp_path / "out", "--address", "auto")
    assert "No Ray cluster runs on this machine" in found.headline
    found = experiment_on_ray(plan_file(), tmp_path / "out", "--address", "head-node")
    assert "no address of a Ray cluster" in found.headline


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_nobody_listens(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr("ray.init", None)  # it would wait for as long as it likes
    with (
        pytest.raises(EnvironmentProblem, match="cannot be reached") as caught,
        joined(f"{scheme}127.0.0.1:{port}", Sizing(), patience=2),
    ):
        pass
    assert f"127.0.0.1:{port}" in caught.value.facts[1]
    assert "gave up after 2 s" in caught.value.facts


def test_something_else_listens() -> None:
    """In a process of its own: Ray ends the one that it cannot connect."""
    code = (
        "from rvec_merge.experiment.engines.cluster import Sizing, joined\n"
        "from rvec_merge.errors import EnvironmentProblem\n"
        "import sys\n"
        "try:\n"
        "    with joined(sys.argv[1], Sizing(), patience=8): pass\n"
        "except EnvironmentProblem as error:\n"
        "    print(error); sys.exit(1)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-c", code, address], capture_output=True, text=True, timeout=300
        )
    assert done.returncode == 1, done.stderr
    assert "The Ray cluster cannot be reached." in done.stdout
    assert address in done.stdout
