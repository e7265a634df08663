"""``rvec report``: the page, and figures where they are asked for."""

from pathlib import Path

from click.testing import CliRunner

from rvec_merge.cli.report import command


def test_the_command_writes_page_and_figures(folder: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "r.html", tmp_path / "figures"
    arguments = [str(folder), "-o", str(out), "--figures", str(figures)]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == str(out)
    stems = ["forest-rvec_sciq", "forest-rvec_tiny", "robustness-rvec_tiny"]
    stems += ["scale-rvec_sciq", "scale-rvec_tiny", "vector"]
    assert sorted(p.name for p in figures.iterdir()) == sorted(
        f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")
    )
    assert "Relative norm: the delta" in out.read_text()
