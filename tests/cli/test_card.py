"""``rvec card`` names what it wrote, and what it left out."""

from pathlib import Path

from click.testing import CliRunner

from rvec_merge.cli.card import command
from rvec_merge.report.card import FIGURE


def test_the_command_tells_what_it_wrote(folder: Path, model: Path) -> None:
    done = CliRunner().invoke(command, [str(folder), str(model)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        str(model / FIGURE),
        str(model / "README.md"),
        "No .eval_results file for rvec_tiny, rvec_sciq: "
        "not measured on a whole benchmark of the Hub, or the Hub did not answer.",
    ]
