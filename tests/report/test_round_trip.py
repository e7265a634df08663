"""What the commands write goes to the Hub and comes back, and the commands take it as before."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rvec_merge.cli import rvec
from rvec_merge.errors import ResultsError
from rvec_merge.evaluation.store import Store
from rvec_merge.hub.errors import HubError
from tests.hub.conftest import folder_files, over_http
from tests.hub.state import Hub
from tests.report.conftest import REPOSITORY

Run = Callable[..., Result]


@pytest.fixture
def run(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``rvec`` in an empty folder; what it raises is raised here."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> Result:
        done = CliRunner().invoke(rvec, [str(a) for a in arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return command


def assert_usable(run: Run, pulled: Path, original: Path) -> None:
    """Report, comparison and card take pulled results, and make of them what they made before."""
    run("report", pulled, "-o", "pulled.html", "--no-vector")
    run("report", original, "-o", "original.html", "--no-vector")
    pages = [Path(f"{name}.html").read_text() for name in ("pulled", "original")]
    assert pulled.name == original.name  # it stands in the page
    assert pages[0] == pages[1]
    cells = sorted(p.name for p in (original / "cells").iterdir())
    compared = run("compare", pulled / "cells" / cells[0], original / "cells" / cells[0], "--json")
    rows = json.loads(compared.stdout)["rows"]
    assert rows
    assert all(row["comparison"]["difference"] == 0 for row in rows)


def test_results(run: Run, folder: Path):
    run("push", "results", folder, "me/results", "--license", "mit")
    pulled = run("pull", "me/results", "-o", "tiny")
    assert "Ignored: .gitattributes" in pulled.output
    back, sent = folder_files(Path("tiny")), folder_files(folder)
    assert back.pop("README.md").startswith(b"---\n")
    assert sent.pop(".lock") == b""
    assert back == sent
    assert_usable(run, Path("tiny"), folder)
    run("push", "results", "tiny", "me/again")  # the licence is in the card


def evaluated_on_the_hub(copy: Path, commits: dict[str, str]) -> Path:
    """The experiment, as if its models had been the Hub's, at these commits where it says so."""
    for name in ("experiment.json", "summary.json"):
        path = copy / name
        path.write_text(path.read_text().replace("demo/family/", "org/"))
    summary = json.loads((copy / "summary.json").read_text())
    for found in summary["inputs"]:
        found["revision"] = commits.get(found["reference"])
    (copy / "summary.json").write_text(json.dumps(summary))
    return copy


@over_http
def test_results_of_another_recipe_are_not_pushed_with_one(
    hub: Hub, copy: Path, shared: dict[str, str], recipe_file: Path
):
    from rvec_merge.hub.push import prepare

    with pytest.raises(ResultsError, match="of another recipe") as raised:
        prepare("recipe", recipe_file, "me/recipe", license="mit", results=copy)
    assert raised.value.facts[1].startswith("base_model: org/target in the recipe, demo/family/")
    other = evaluated_on_the_hub(copy, {"org/grpo": shared["sft"]})
    with pytest.raises(ResultsError, match="of another recipe") as raised:
        prepare("recipe", recipe_file, "me/recipe", license="mit", results=other)
    assert raised.value.facts[1:] == (f"org/grpo: {shared['sft']} was evaluated",)


def test_results_that_came_with_a_recipe(
    run: Run,
    hub: Hub,
    copy: Path,
    shared: dict[str, str],
    recipe_file: Path,
):
    folder = evaluated_on_the_hub(copy, {"org/grpo": shared["grpo"]})
    arguments = ("--license", "mit", "--results", folder)
    run("push", "recipe", recipe_file, "me/recipe", *arguments)
    run("pull", "me/recipe", "-o", "pulled")
    sent = folder_files(folder)
    sent.pop(".lock", None)
    back = Path("pulled/results").rename("pulled/tiny")
    assert folder_files(back) == sent
    assert_usable(run, back, folder)
    assert "helps" in Path("pulled/README.md").read_text()
    # Who merges the recipe does not fetch the samples.
    hub.requests.clear()
    run("check", "hf://me/recipe")
    assert not [r.path for r in hub.requests if "/results/" in r.path]


@over_http
def test_a_merge_with_its_card(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(REPOSITORY)  # the recipe's models are named from there
    out, pulled = tmp_path / "out", tmp_path / "pulled"
    run("merge", "recipes/tiny.yaml", out, "--quiet")
    run("card", folder, out)
    run("push", "merge", out, "me/merge")  # the card has the licence that all inputs state
    run("pull", "me/merge", "-o", pulled)
    sent, back = folder_files(out), folder_files(pulled)
    assert back.pop("README.md") != sent.pop("README.md")  # the push adds its tags
    assert back == sent
    assert "rvec_scale.png" in back
    assert "same bits" in run("verify", pulled).output


@over_http
@pytest.mark.parametrize("kind", ["results", "recipe"])
def test_an_unfinished_experiment_is_not_shared(
    hub: Hub,
    copy: Path,
    shared: dict[str, str],
    recipe_file: Path,
    kind: str,
):
    from rvec_merge.hub.push import prepare

    Store(copy).forget_findings()
    path, results = (copy, None) if kind == "results" else (recipe_file, copy)
    with pytest.raises(ResultsError, match="The experiment is not finished"):
        prepare(kind, path, "me/results", license="mit", results=results)


@over_http
@pytest.mark.parametrize("prefix", ["", "results/"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("flips.json", b"{}"),
        ("flips.json", b"[3]"),
        ("summary.json", b"[]"),
        ("experiment.json", b"{}"),
        (f"cells/{'a' * 32}/cell.json", b"[]"),
    ],
)
def test_damaged_results_are_not_taken(
    run: Run,
    hub: Hub,
    folder: Path,
    shared: dict[str, str],
    recipe_file: Path,
    prefix: str,
    name: str,
    content: bytes,
):
    files = folder_files(folder)
    del files[".lock"]
    files = {f"{prefix}{n}": data for n, data in {**files, name: content}.items()}
    hub.put("me/bad", {**files, **({"recipe.yaml": recipe_file.read_bytes()} if prefix else {})})
    with pytest.raises((ResultsError, HubError)):
        run("pull", "me/bad", "-o", "bad")
    assert not Path("bad").exists()
