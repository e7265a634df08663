"""``rvec verify`` as a command."""

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


def test_verify_names_what_differs(tmp_path, recipe):
    call("merge", recipe, tmp_path / "out", "--quiet")
    data = bytearray((tmp_path / "out" / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "out" / "model.safetensors").write_bytes(data)
    error = call("verify", tmp_path / "out", fails=True)
    assert "1 elements differ" in str(error)


def test_another_recipe_is_said_to_be_another(tmp_path, recipe):
    call("merge", recipe, tmp_path / "out", "--quiet")
    told = json.loads(call("verify", tmp_path / "out", "--recipe", recipe, "--json"))
    assert (told["holds"], told["recipe_differs"]) == (True, False)
