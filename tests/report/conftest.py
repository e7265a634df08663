"""One small experiment of the embedded family, run once; pages of it in a real browser."""

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rvec_merge.cli.experiment import command as run_experiment
from rvec_merge.results.read import Results, read_results
from tests.hub.conftest import hub, recipe_file, shared  # noqa: F401

REPOSITORY = Path(__file__).resolve().parents[2]
# bfloat16, so that effective scales differ; a task that generates and one that chooses.
PLAN = f"""\
recipe: {REPOSITORY}/recipes/tiny.yaml
tasks:
  - {{task: rvec_tiny, validation: rvec_tiny_validation}}
  - {{task: rvec_sciq, selects: false, perturbations: []}}
prompts: [plain]
perturbations: [typos]
scales: [0.25, 0.5]
controls: {{random: 1, permuted: 0}}
precision: bfloat16
selection: {{by: validation}}
batch_size: 32
limit: 32
"""
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "{{ 7 * 7 }} {% for x in cycler.__init__.__globals__ %}{{ x }}{% endfor %}",
    "<img src=x onerror=\"document.title='owned'\"> &amp; \u2028\u2029 `</pre>`",
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished results folder; read-only."""
    out = tmp_path_factory.getbasetemp() / "experiment"
    ran = out.is_dir()  # for the tests of another room
    out.mkdir(exist_ok=True)
    (out / "plan.yaml").write_text(PLAN)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RVEC_EVAL_DATA", "sample")
        os.chdir(REPOSITORY)  # the recipe's models are named from there
        try:
            arguments = [str(out / "plan.yaml"), "-o", str(out / "tiny"), "-q", "--device", "cpu"]
            if not ran:
                done = CliRunner().invoke(run_experiment, arguments, catch_exceptions=False)
                assert done.exit_code == 0, done.output
            yield out / "tiny"
        finally:
            os.chdir(before)


def family(place: Path) -> None:
    """A copy of the family, whose files may be changed."""
    shutil.copytree(REPOSITORY / "demo" / "family", place / "demo" / "family")


@pytest.fixture(scope="session")
def results(folder: Path) -> Results:
    return read_results(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The results folder, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def rewrite_samples(cell: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change every sample row of a stored cell in place."""
    for path in cell.glob("samples_*.jsonl.gz"):
        with gzip.open(path, "rt") as file:
            rows = [json.loads(line) for line in file]
        for row in rows:
            change(row)
        with gzip.open(path, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    refile(cell)


def refile(cell: Path) -> None:
    """Let ``cell.json`` name the files that are there now."""
    filed = json.loads((cell / "cell.json").read_text())
    filed["files"] = {
        name: hashlib.sha256((cell / name).read_bytes()).hexdigest() for name in filed["files"]
    }
    (cell / "cell.json").write_text(json.dumps(filed))


@pytest.fixture
def hostile(copy: Path) -> Path:
    """The experiment, as if every prompt, output and answer, and the recipe, were an attack."""

    def attack(row: dict[str, Any]) -> None:
        text = HOSTILE[row["doc_id"] % len(HOSTILE)]
        row["target"] = f"answer {text}"
        for call in row["arguments"].values():
            call["arg_0"] = f"prompt {row['doc_id']} {text} end{row['doc_id']}"
        if isinstance(row["resps"][0][0], str):
            row["resps"] = [[f"output {text}"]]

    for cell in (copy / "cells").iterdir():
        rewrite_samples(cell, attack)
    head = json.loads((copy / "experiment.json").read_text())
    head["recipe"] += "\n".join(f"# {text}" for text in HOSTILE)
    (copy / "experiment.json").write_text(json.dumps(head))
    return copy


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with driver.sync_playwright() as playwright:
        # Chromium's own sandbox refuses to start for root.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=path, args=root)
        yield started
        started.close()


@pytest.fixture
def model(results: Results, tmp_path: Path) -> Path:
    """A folder that says it was merged from the experiment's recipe."""
    folder = tmp_path / "merged"
    folder.mkdir()
    (folder / "mergekit_config.yml").write_text(results.recipe)
    return folder
