"""Names of mergekit and lm-eval that are no options here are explained; risk is not proposed."""

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec

MERGE, EXPERIMENT = ["merge", "tiny", "out"], ["experiment", "tiny"]


@pytest.mark.parametrize(
    ("command", "option", "said"),
    [
        (MERGE, "--allow-crimes", "checks cannot be switched off"),
        (MERGE, "--no-lazy-unpickle", "streamed in blocks"),
        (MERGE, "--trust_remote_code", "it is --trust-remote-code here"),
        (EXPERIMENT, "--gen_kwargs", "--set generation.max_gen_toks=512"),
        (EXPERIMENT, "--batch_size", "it is --batch-size here"),
        (EXPERIMENT, "--limits", "Did you mean '--limit'"),
    ],
)
def test_what_was_meant_is_said(command: list[str], option: str, said: str) -> None:
    result = CliRunner().invoke(rvec, [*command, option])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("option", ["--allow-crimes", "--allow-pickels", "--lazy-unpickle"])
def test_a_riskier_option_is_not_proposed(option: str) -> None:
    told = CliRunner().invoke(rvec, [*MERGE, option]).output
    assert "No such option" in told
    assert "--allow-pickle" not in told
