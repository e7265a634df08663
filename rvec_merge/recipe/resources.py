"""Where the recipes and evaluation tasks lie: inside the wheel, or in the checkout."""

from pathlib import Path

import rvec_merge

_PACKAGE = Path(rvec_merge.__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder ``recipes`` or ``eval``, whether installed from a wheel or from a checkout."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
