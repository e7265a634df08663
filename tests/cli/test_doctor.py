"""``rvec doctor`` prints what was found; what it finds, tests/test_doctor.py says."""

import pytest
from click.testing import CliRunner

from rvec_merge.cli import rvec
from rvec_merge.version import __version__


@pytest.mark.parametrize("width", [80, 40])
def test_the_table_has_every_finding_and_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    done = CliRunner().invoke(rvec, ["doctor"], env={"COLUMNS": str(width)})
    assert done.exit_code in (0, 1), done.exception
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= width
    named = {line.split()[0] for line in lines if not line.startswith(" ")}
    assert {"python", "rvec-merge", "torch", "method", "device", "Hub", "models"} <= named
    assert __version__ in done.stdout
