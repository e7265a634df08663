"""Each cause that hides the method from mergekit, brought about for real in a subprocess."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import venv
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rvec_merge.sandbox.run import isolation

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "from rvec_merge.cli import main; main()"
# Nothing listens on the discard port, so the Hub check fails at once.
BASE = {"HF_ENDPOINT": "http://127.0.0.1:9", "OMP_NUM_THREADS": "1"}


def doctor(*arguments, python=sys.executable, **environment):
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TORCH_DEVICE"))}
    return subprocess.run(
        [python, "-c", COMMAND, "doctor", *arguments],
        env={**inherited, **BASE, **environment},
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
    )


def install(folder, name, version, text="", entry_points=""):
    """Lay a distribution on a path as pip would: metadata, and one package if it has text."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if entry_points:
        (info / "entry_points.txt").write_text(entry_points)
    if text:
        methods = folder / name / "merge_methods"
        methods.mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (methods / "__init__.py").write_text(text)
    return folder


def environment_without(folder, *left_out):
    """A virtual environment that has this one's packages except some, and the checkout's code."""
    venv.create(folder / "venv", with_pip=False)
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.lower().startswith(left_out):
            (packages / entry.name).symlink_to(entry)
    (packages / "rvec_merge").symlink_to(ROOT / "rvec_merge")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    return {"python": str(python), "PYTHONPATH": str(packages)}


def switched_off(folder):
    return {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}


def two_installs(folder):
    return {"PYTHONPATH": str(install(folder, "rvec_merge", "0.0.1"))}


def old_mergekit(folder):
    text = "def get(name):\n    raise RuntimeError(f'Unimplemented merge method {name}')\n"
    return {"PYTHONPATH": str(install(folder, "mergekit", "0.1.4", text))}


def no_mergekit(folder):
    return environment_without(folder, "mergekit", "rvec_merge", "_rvec_merge")


def no_entry_point(folder):
    return environment_without(folder, "rvec_merge", "_rvec_merge")


def broken_package(folder):
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rvec_merge", folder / "rvec_merge", ignore=ignore)
    (folder / "rvec_merge" / "arithmetic" / "kernel.py").write_text(
        "raise ImportError('half a download')\n"
    )
    return {"PYTHONPATH": str(folder)}


def foreign_backend(folder):
    entry_points = "[torch.backends]\nother = no_such_module:install\n"
    return {"PYTHONPATH": str(install(folder, "other_backend", "1.0", "", entry_points))}


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (switched_off, ("autoload of backends is switched off", "unset TORCH_DEVICE_BACKEND")),
        (two_installs, ("is installed 2 times", "rvec-merge 0.0.1 in ", "remove the older one")),
        (old_mergekit, ("mergekit 0.1.4 is outside the range", "needed mergekit<0.2,>=0.1.5")),
        (no_mergekit, ("mergekit is not installed", "pip install rvec-merge, which")),
        (no_entry_point, ("group torch.backends is missing", "on PYTHONPATH is not enough")),
        (broken_package, ("an import failed", "half a download", "mend what the message names")),
        (foreign_backend, ("an import failed", "no_such_module", "mend what the message names")),
    ],
)
def test_cause_is_named_with_its_fix(cause, said, tmp_path):
    done = doctor("--json", **cause(tmp_path))
    assert done.returncode == 1, done.stderr
    assert [text for text in said if text not in done.stderr] == []
    assert "Traceback" not in done.stderr
    report = json.loads(done.stdout)
    assert report["visible"] is False
    assert report["problem"]["headline"] in done.stderr


class Hub(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.headers_seen.append(dict(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub():
    server = HTTPServer(("127.0.0.1", 0), Hub)
    server.headers_seen = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_healthy_environment(hub, tmp_path):
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    foreign = tmp_path / "mergekit-yaml"
    foreign.write_text("#!/bin/sh\n")
    foreign.chmod(0o755)
    done = doctor(
        "--json",
        HF_ENDPOINT=endpoint,
        HF_TOKEN="hf_secret",
        HF_HOME=str(tmp_path / "hf"),
        PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stderr
    assert "hf_secret" not in done.stdout + done.stderr + repr(hub.headers_seen)
    report = json.loads(done.stdout)
    assert report["visible"] is True
    assert report["problem"] is None
    assert "not installed" not in report["versions"].values()
    assert report["devices"][0].startswith("cpu: ")
    assert report["hub"]["endpoint"] == endpoint
    assert report["hub"]["reachable"] is True
    assert report["hub"]["token"] is True
    assert report["caches"][0]["path"] == str(tmp_path / "hf" / "hub")
    assert report["caches"][0]["free"] > 0
    assert report["doors"] == isolation().doors
    assert len(report["doors"]) == 4
    assert any(str(foreign) in notice for notice in report["notices"])


def test_unreachable_hub_and_offline_mode_are_no_failure(tmp_path):
    done = doctor(HF_HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:9: not reachable" in " ".join(done.stdout.split())
    done = doctor(HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "offline (not asked: HF_HUB_OFFLINE is set)" in " ".join(done.stdout.split())
    assert "HF_HUB_OFFLINE=1" in done.stdout
