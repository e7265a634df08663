"""What this environment has, and whether stock mergekit sees the method in it."""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from rvec_merge.errors import EnvironmentProblem
from rvec_merge.mergekit_plugin import visibility
from rvec_merge.version import __version__

PACKAGES = (
    "torch",
    "mergekit",
    "transformers",
    "lm-eval",
    "safetensors",
    "huggingface_hub",
)
FLAGS = (
    "TORCH_DEVICE_BACKEND_AUTOLOAD",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "HF_ENDPOINT",
)
HUB_TIMEOUT = 5.0
_ENTRY_POINT = "rvec_merge.mergekit_plugin.autoload:install"


@dataclass(frozen=True)
class Hub:
    """How the Hub answered; ``reachable`` is None where offline mode forbids asking.

    ``token`` says whether one is configured, never which.
    """

    endpoint: str
    reachable: bool | None
    answer: str
    token: bool


@dataclass(frozen=True)
class Cache:
    """A folder that downloads fill. Units: ``free`` is bytes, on its file system."""

    name: str
    path: Path
    free: int


@dataclass(frozen=True)
class Examination:
    """All that ``rvec doctor`` reports; ``problem`` is why mergekit does not see the method.

    ``doors`` names every way out of a generated program, and says whether this system shuts it;
    it is empty where such programs cannot be run, and a notice says why.
    """

    versions: dict[str, str]
    problem: EnvironmentProblem | None
    notices: tuple[str, ...]
    devices: tuple[str, ...]
    flags: dict[str, str]
    hub: Hub
    caches: tuple[Cache, ...]
    doors: dict[str, bool]


def examine() -> Examination:
    """Look at versions, registration, devices, the Hub and caches. Takes some seconds."""
    seen = _probe()
    installs = _installs()
    doors, closed = _doors()
    return Examination(
        versions=_versions(),
        problem=None if seen["visible"] else _diagnose(seen, installs),
        notices=(*_notices(installs), *closed),
        devices=tuple(seen["devices"]),
        flags={name: os.environ[name] for name in FLAGS if name in os.environ},
        hub=_hub(),
        caches=_caches(),
        doors=doors,
    )


def _versions() -> dict[str, str]:
    return {
        "python": f"{platform.python_version()} ({sys.executable})",
        "rvec-merge": f"{__version__} ({Path(__file__).resolve().parent})",
        **{name: _version(name) or "not installed" for name in PACKAGES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _probe() -> dict[str, Any]:
    """Ask a fresh interpreter, away from the working folder, as a console script would be."""
    source = Path(visibility.__file__).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=empty, capture_output=True, text=True
        )
    if done.returncode == 0:
        seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return seen
    said = done.stderr.strip().splitlines()
    error = f"exit code {done.returncode}: {said[-1] if said else 'no message'}"
    return {"visible": False, "error": error, "warnings": [], "devices": []}


def _diagnose(seen: dict[str, Any], installs: tuple[str, ...]) -> EnvironmentProblem:
    """The first cause that holds, from the outside in: package, switch, entry point, import."""
    headline = "Stock mergekit does not see the merge method 'reasoning_vector'"
    said = [*seen["warnings"], seen["error"]]
    required = _required("mergekit")
    version = _version("mergekit")
    autoload = os.environ.get("TORCH_DEVICE_BACKEND_AUTOLOAD", "1")
    if version is None:
        return EnvironmentProblem(
            f"{headline}: mergekit is not installed.",
            said,
            f"pip install {required!r}."
            if required
            else "pip install rvec-merge, which brings it.",
        )
    if required and not _within(version, required):
        return EnvironmentProblem(
            f"{headline}: mergekit {version} is outside the range rvec-merge works with.",
            [f"mergekit {version}, needed {required}", *said],
            f"pip install {required!r}.",
        )
    if autoload != "1":
        return EnvironmentProblem(
            f"{headline}: torch's autoload of backends is switched off.",
            [f"TORCH_DEVICE_BACKEND_AUTOLOAD={autoload} (torch reads anything but 1 as off)"],
            "unset TORCH_DEVICE_BACKEND_AUTOLOAD.",
        )
    if len(installs) > 1:
        return EnvironmentProblem(
            f"{headline}: rvec-merge is installed {len(installs)} times, and Python reads "
            "the entry points of the first.",
            [*installs, *said],
            "remove the older one (pip uninstall rvec-merge, or take it off PYTHONPATH).",
        )
    if not any(point.value == _ENTRY_POINT for point in _torch_entry_points()):
        return EnvironmentProblem(
            f"{headline}: its entry point in the group torch.backends is missing.",
            [installs[0] if installs else "no installed rvec-merge was found", *said],
            "install the package (pip install rvec-merge, or pip install -e . in a checkout); "
            "having it on PYTHONPATH is not enough.",
        )
    return EnvironmentProblem(
        f"{headline}: an import failed.",
        said,
        "mend what the message names; reinstalling rvec-merge, mergekit and torch usually does.",
    )


def _required(name: str) -> str:
    """The requirement on ``name`` as our own metadata states it; empty if that is unreadable."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("rvec-merge") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((line for line in lines if Requirement(line).name == name), "")


def _within(version: str, required: str) -> bool:
    from packaging.requirements import Requirement

    return Requirement(required).specifier.contains(version, prereleases=True)


def _installs() -> tuple[str, ...]:
    """Every rvec-merge that ``sys.path`` offers, in the order Python looks at them."""
    found = metadata.distributions(name="rvec-merge")
    places = (
        f"rvec-merge {one.version} in {Path(str(one.locate_file(''))).resolve()}" for one in found
    )
    return tuple(dict.fromkeys(places))  # one folder may stand on sys.path under two spellings


def _torch_entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group="torch.backends"))


def _notices(installs: tuple[str, ...]) -> list[str]:
    """What does not hide the method here, yet will puzzle someone."""
    notices = []
    if len(installs) > 1:
        notices.append(f"rvec-merge is installed {len(installs)} times: {'; '.join(installs)}.")
    command = shutil.which("mergekit-yaml")
    if command is not None:
        here = Path(sysconfig.get_path("scripts")).resolve()
        if Path(command).parent.resolve() != here:
            notices.append(
                f"The mergekit-yaml on PATH ({command}) belongs to another environment than "
                f"this rvec ({here}); run the one there, or activate that environment."
            )
    return notices


def _doors() -> tuple[dict[str, bool], tuple[str, ...]]:
    """What shuts off generated programs here, found by running one; or why none can be run."""
    from rvec_merge.sandbox.run import isolation

    try:
        return isolation().doors, ()
    except EnvironmentProblem as problem:
        return {}, (f"{problem.headline} {problem.fix}",)


def _hub() -> Hub:
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import get_session

    reachable: bool | None
    if constants.HF_HUB_OFFLINE:
        reachable, answer = None, "not asked: HF_HUB_OFFLINE is set"
    else:
        started = time.monotonic()
        try:
            url = f"{constants.ENDPOINT}/api/models?limit=1"
            status = get_session().get(url, timeout=HUB_TIMEOUT).status_code
            reachable = status < 500
            answer = f"HTTP {status} after {time.monotonic() - started:.1f} s"
        # The HTTP library behind huggingface_hub, and so its exceptions, differ by version.
        except Exception as error:
            reachable, answer = False, f"{type(error).__name__}: {error}"
    return Hub(constants.ENDPOINT, reachable, answer, get_token() is not None)


def _caches() -> tuple[Cache, ...]:
    from huggingface_hub import constants

    home = Path(constants.HF_HOME)
    folders = {
        "models": Path(constants.HF_HUB_CACHE),
        "datasets": Path(os.environ.get("HF_DATASETS_CACHE", home / "datasets")),
    }
    return tuple(Cache(name, path, _free(path)) for name, path in folders.items())


def _free(path: Path) -> int:
    standing = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(standing).free
