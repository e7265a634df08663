"""A hub on loopback, and the client set to it: what HF_ENDPOINT and its like would do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rvec_merge.merge.run import merge
from rvec_merge.recipe.read import parse_recipe
from rvec_merge.vector.extract import extract_compact
from rvec_merge.vector.inputs import open_donors
from tests.conftest import RECIPE as LOCAL_RECIPE
from tests.hub.server import serving
from tests.hub.state import Hub

RECIPE = """\
# The tiny triple.
merge_method: reasoning_vector
base_model: org/target
models:
  - {model: org/grpo, parameters: {role: grpo}}  # trained last
  - model: "org/sft@main"
    parameters: {role: sft}
parameters:
  scale: 1.0
out_dtype: bfloat16
"""


@pytest.fixture(params=["http", "xet"])
def hub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """A fresh hub and an empty cache. The client reads its settings once, at import.

    Every test that uses it runs twice: large files come over HTTP, and from Xet storage. Faults of
    the one way are met with ``over_http``.
    """
    from huggingface_hub import close_session, constants, hf_api
    from huggingface_hub.utils import _xet

    cache = tmp_path / "hf" / "hub"
    with serving(tmp_path / "xet-storage" if request.param == "xet" else None) as hub:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        monkeypatch.setattr(hf_api.api, "endpoint", hub.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", request.param == "http")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setattr(_xet, "XET_CONNECTION_INFO_CACHE", {})  # ports come again
        sleep = time.sleep  # the client waits seconds before it tries again
        monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
        yield hub
        close_session()


over_http = pytest.mark.parametrize("hub", ["http"], indirect=True)


@pytest.fixture
def rvec(hub: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``rvec`` in a process of its own, which takes its settings from the environment."""

    def run(*arguments: object, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "0" if hub.xet else "1",
            "HF_XET_CACHE": str(tmp_path / "hf" / "xet"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        command = [sys.executable, "-c", "from rvec_merge.cli import main; main()"]
        return subprocess.run(
            [*command, *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def shared(hub: Hub, triple: dict[str, Path]) -> dict[str, str]:
    """The tiny triple on the hub, as org/target, org/sft and org/grpo; the commits by name."""
    card = b"---\nlicense: apache-2.0\n---\n\n# A model\n"
    return {
        name: hub.put(f"org/{name}", {**folder_files(folder), "README.md": card})
        for name, folder in triple.items()
    }


@pytest.fixture(scope="session")
def vector(triple, tmp_path_factory):
    """The tiny triple's compact vector, in several shards; read-only."""
    out = tmp_path_factory.mktemp("vector") / "compact"
    extract_compact(open_donors(triple["grpo"], triple["sft"]), out, shard_size=5_000)
    return out


@pytest.fixture(scope="session")
def merged(triple, tmp_path_factory):
    """The tiny triple merged from its folders; read-only."""
    text = LOCAL_RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16")
    out = tmp_path_factory.mktemp("merged") / "out"
    merge(parse_recipe(text), out)
    return out


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """A recipe over the shared triple, with a comment, a branch, and a flow mapping."""
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def folder_files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
