"""``rvec merge`` as a command."""

import json

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.errors import RvecError
from tests.conftest import RECIPE


@pytest.fixture
def recipe(tmp_path, triple):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(**triple, scale=1.0, out_dtype="bfloat16"))
    return path


def call(*arguments, fails=False):
    result = CliRunner().invoke(rvec, [str(a) for a in arguments])
    if fails:
        assert isinstance(result.exception, RvecError)
        return result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_merge_says_what_it_did_and_verify_confirms(tmp_path, recipe):
    said = call("merge", recipe, tmp_path / "out")
    assert "effective scale 1.0" in said
    assert "B/s read and written" in said
    assert "out_dtype: float32" not in said
    assert "same bits" in call("verify", tmp_path / "out")
    assert "3 of " in call("verify", tmp_path / "out", "--sample", 3)
    error = call("merge", recipe, tmp_path / "out", fails=True)
    assert "exists" in str(error)
    assert call("merge", recipe, tmp_path / "out", "--overwrite", "--quiet") == ""


def test_a_scale_that_rounds_away_gets_advice(tmp_path, family):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.format(**family, scale=0.02, out_dtype="bfloat16"))
    assert "out_dtype: float32" in call("merge", path, tmp_path / "out")


def test_json(tmp_path, recipe):
    said = json.loads(call("merge", recipe, tmp_path / "out", "--json"))
    assert said["executor"] is None
    assert said["effect"]["effective_scale"] == pytest.approx(1, abs=0.05)
    assert (
        said["tensors"] == json.loads((tmp_path / "out" / "rvec_merge.json").read_text())["tensors"]
    )
    assert json.loads(call("verify", tmp_path / "out", "--json"))["holds"] is True
