"""``rvec perturb``: a perturbed set that others can evaluate as it is."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import OutputError, RvecError


def run(*arguments: str) -> str:
    done = CliRunner().invoke(rvec, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def _samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVEC_EVAL_DATA", "sample")


@pytest.mark.usefixtures("_samples")
def test_perturb_writes_a_set_that_evaluates_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rvec_merge.errors import TaskError
    from rvec_merge.tasks.variants import load_variant

    out = tmp_path / "shared"
    told = run("perturb", "rvec_gsm8k_numeric", str(out), "--seed", "3", "--limit", "5")
    assert "10 of 14 items can be changed" in told
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "gsm8k/test.jsonl",
        "gsm8k/train.jsonl",
        "perturbation.json",
    ]
    metadata = json.loads((out / "perturbation.json").read_text())
    assert (metadata["seed"], metadata["items_changed"], metadata["items_written"]) == (3, 10, 5)
    assert sum(metadata["refused"].values()) == 4
    rows = [json.loads(line) for line in (out / "gsm8k" / "test.jsonl").read_text().splitlines()]
    lines = "\n".join(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in rows)
    assert metadata["sha256"] == hashlib.sha256(lines.encode()).hexdigest()

    monkeypatch.setenv("RVEC_EVAL_DATA", str(out))
    assert list(load_variant("rvec_gsm8k_numeric").eval_docs) == rows
    with pytest.raises(TaskError, match="perturbed before"):
        load_variant("rvec_gsm8k_typos")
    with pytest.raises(TaskError, match="given perturbed items"):
        load_variant("rvec_gsm8k")


@pytest.mark.usefixtures("_samples")
def test_perturb_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run("perturb", "rvec_humaneval_distractor", str(tmp_path / name))
    texts = [(tmp_path / name / "humaneval" / "test.jsonl").read_text() for name in ("one", "two")]
    assert texts[0] == texts[1]


def test_the_embedded_family_needs_no_switch(tmp_path: Path) -> None:
    run("perturb", "rvec_tiny_numeric", str(tmp_path / "out"), "--limit", "3")
    assert len((tmp_path / "out" / "tiny" / "test.jsonl").read_text().splitlines()) == 3


@pytest.mark.usefixtures("_samples")
@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("rvec_gsm8k", "has no perturbation"),
        ("rvec_gsm8k_shouted", "no task variant"),
        ("rvec_bbh_cot_fewshot_snarks", "cannot be read"),
    ],
)
def test_perturb_errors_write_nothing(task: str, message: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(rvec, ["perturb", task, str(tmp_path / "out")])
    assert isinstance(done.exception, RvecError)
    assert message in str(done.exception)
    assert done.exception.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_samples")
def test_perturb_overwrites_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(rvec, ["perturb", "rvec_gsm8k_typos", str(tmp_path)])
    assert isinstance(done.exception, OutputError)
    assert list(tmp_path.iterdir()) == []
